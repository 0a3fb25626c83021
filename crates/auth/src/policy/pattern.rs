//! Texts of policies that are matched: wildcards, and variables that the request fills in. Parsed once; matching takes no
//! more steps than the pattern's length times the text's.
//!
//! Sources: "IAM JSON policy elements: Resource" and "IAM policy elements: Variables and tags" of the IAM User Guide.

use super::keys::{Key, Question};

/// How the text of a pattern is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// Whether `${…}` is a variable: in documents of version 2012-10-17.
    pub(super) variables: bool,
    /// What `*` and `?` stand for.
    pub(super) wildcards: Wildcards,
    /// Whether case matters.
    pub(super) case: Case,
}

/// What `*` and `?` stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wildcards {
    /// Themselves.
    None,
    /// Any characters, any one character.
    Text,
    /// In the first five of an ARN's six parts, characters of that part; but `*` at the end of a part may go on past it.
    Resource,
    /// As in a resource, but `*` never goes past its part: for the operators on ARNs.
    Arn,
}

/// Whether case matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Exact,
    Ignored,
}

/// A text to be matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    form: Form,
    case: Case,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    Any,
    Literal(Box<str>),
    Prefix(Box<str>),
    Tokens(Box<[Token]>),
    Template(Box<[Part]>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    /// One character.
    One,
    /// Any characters.
    Many,
    /// One character, no colon.
    OneOfPart,
    /// Any characters, no colon.
    ManyOfPart,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Token(Token),
    Variable { key: Key, default: Option<Box<str>> },
}

impl Part {
    fn is_fixed(&self) -> bool {
        matches!(self, Self::Token(Token::Byte(_)) | Self::Variable { .. })
    }
}

impl Pattern {
    /// Reads a pattern. A `${` that begins no variable stands for itself.
    pub(super) fn parse(text: &str, reading: Reading) -> Self {
        // ASCII is compared without regard to case; other letters need one case for it. Names of keys have none.
        let folded = (reading.case == Case::Ignored && !text.is_ascii()).then(|| text.to_lowercase());
        let text = folded.as_deref().unwrap_or(text);
        let mut parts = Vec::with_capacity(text.len());
        let mut colons = 0;
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            if reading.variables
                && let Some((part, after)) = variable(rest)
            {
                match part {
                    Some(part) => parts.push(part),
                    None => parts.extend(rest.get(2..3).into_iter().flat_map(str::bytes).map(byte)),
                }
                rest = after;
                continue;
            }
            rest = rest.get(character.len_utf8()..).unwrap_or_default();
            let ends_part = rest.is_empty() || rest.starts_with(':');
            let in_head = colons < 5;
            match (character, reading.wildcards) {
                ('*' | '?', Wildcards::None) => parts.extend(encode(character)),
                ('*', Wildcards::Resource) if in_head && !ends_part => parts.push(Part::Token(Token::ManyOfPart)),
                ('*', Wildcards::Arn) if in_head => parts.push(Part::Token(Token::ManyOfPart)),
                ('*', _) => {
                    if parts.last() != Some(&Part::Token(Token::Many)) {
                        parts.push(Part::Token(Token::Many));
                    }
                }
                ('?', Wildcards::Resource | Wildcards::Arn) if in_head => parts.push(Part::Token(Token::OneOfPart)),
                ('?', _) => parts.push(Part::Token(Token::One)),
                (':', _) => {
                    colons += 1;
                    parts.push(byte(b':'));
                }
                (character, _) => parts.extend(encode(character)),
            }
        }
        Self { form: Form::of(parts), case: reading.case }
    }

    /// Whether `text` matches. A variable that the request lacks, and that has no default, matches nothing.
    pub(super) fn matches(&self, text: &str, question: &Question<'_>) -> bool {
        if self.case == Case::Ignored && !text.is_ascii() {
            return self.matches_folded(&text.to_lowercase(), question);
        }
        self.matches_folded(text, question)
    }

    /// As [`Self::matches`], for text that is ASCII or in lower case already when case is ignored.
    fn matches_folded(&self, text: &str, question: &Question<'_>) -> bool {
        let bytes = text.as_bytes();
        match &self.form {
            Form::Any => true,
            Form::Literal(own) => self.equal(own.as_bytes(), bytes),
            Form::Prefix(own) => bytes.get(..own.len()).is_some_and(|head| self.equal(own.as_bytes(), head)),
            Form::Tokens(tokens) => glob(tokens, bytes, self.case),
            Form::Template(parts) if parts.iter().all(Part::is_fixed) => self.spells(parts, bytes, question),
            Form::Template(parts) => {
                self.resolve(parts, question).is_some_and(|tokens| glob(&tokens, bytes, self.case))
            }
        }
    }

    /// Whether parts without wildcards make up this text.
    fn spells(&self, parts: &[Part], text: &[u8], question: &Question<'_>) -> bool {
        let mut rest = Some(text);
        for part in parts {
            let Some(text) = rest else { return false };
            rest = match part {
                Part::Token(token) => match (token, text.split_first()) {
                    (Token::Byte(own), Some((first, rest))) if self.equal(&[*own], &[*first]) => Some(rest),
                    _ => None,
                },
                Part::Variable { key, default } => {
                    let value = question.single(key);
                    let Some(value) = value.as_deref().or(default.as_deref()) else { return false };
                    let lower = (self.case == Case::Ignored && !value.is_ascii()).then(|| value.to_lowercase());
                    let value = lower.as_deref().unwrap_or(value).as_bytes();
                    text.split_at_checked(value.len()).filter(|(head, _)| self.equal(value, head)).map(|(_, rest)| rest)
                }
            };
        }
        rest.is_some_and(<[u8]>::is_empty)
    }

    /// Whether all variables have values. A statement about everything *but* a resource may grant nothing otherwise.
    pub(super) fn resolves(&self, question: &Question<'_>) -> bool {
        match &self.form {
            Form::Template(parts) => self.resolve(parts, question).is_some(),
            _ => true,
        }
    }

    /// The text of a pattern that has neither wildcards nor variables.
    pub(super) fn literal(&self) -> Option<&str> {
        match &self.form {
            Form::Literal(text) => Some(text),
            _ => None,
        }
    }

    /// The keys of its variables.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        let parts: &[Part] = match &self.form {
            Form::Template(parts) => parts,
            _ => &[],
        };
        parts.iter().filter_map(|part| match part {
            Part::Variable { key, .. } => Some(key),
            Part::Token(_) => None,
        })
    }

    fn equal(&self, own: &[u8], text: &[u8]) -> bool {
        match self.case {
            Case::Exact => own == text,
            Case::Ignored => own.eq_ignore_ascii_case(text),
        }
    }

    fn resolve(&self, parts: &[Part], question: &Question<'_>) -> Option<Vec<Token>> {
        let mut tokens = Vec::with_capacity(parts.len() + 32);
        for part in parts {
            match part {
                Part::Token(token) => tokens.push(*token),
                // A value stands for itself: a `*` in a user's tag is no wildcard.
                Part::Variable { key, default } => {
                    let value = question.single(key);
                    let value = value.as_deref().or(default.as_deref())?;
                    match self.case {
                        Case::Exact => tokens.extend(value.bytes().map(Token::Byte)),
                        Case::Ignored => tokens.extend(value.to_lowercase().bytes().map(Token::Byte)),
                    }
                }
            }
        }
        Some(tokens)
    }
}

impl Form {
    fn of(parts: Vec<Part>) -> Self {
        let mut tokens = Vec::with_capacity(parts.len());
        for part in &parts {
            match part {
                Part::Token(token) => tokens.push(*token),
                Part::Variable { .. } => return Self::Template(parts.into()),
            }
        }
        let literal = |tokens: &[Token]| -> Option<Box<str>> {
            let bytes = tokens
                .iter()
                .map(|token| match token {
                    Token::Byte(byte) => Some(*byte),
                    _ => None,
                })
                .collect::<Option<Vec<u8>>>()?;
            String::from_utf8(bytes).ok().map(String::into_boxed_str)
        };
        if let Some(text) = literal(&tokens) {
            return Self::Literal(text);
        }
        match tokens.split_last() {
            Some((Token::Many, [])) => Self::Any,
            Some((Token::Many, head)) => match literal(head) {
                Some(text) => Self::Prefix(text),
                None => Self::Tokens(tokens.into()),
            },
            _ => Self::Tokens(tokens.into()),
        }
    }
}

fn byte(byte: u8) -> Part {
    Part::Token(Token::Byte(byte))
}

fn encode(character: char) -> impl Iterator<Item = Part> {
    let mut buffer = [0; 4];
    let length = character.encode_utf8(&mut buffer).len();
    buffer.into_iter().take(length).map(byte)
}

/// A variable at the beginning of `text`, and what follows it: `None` for `${*}`, `${?}` and `${$}`, which stand for
/// their character.
fn variable(text: &str) -> Option<(Option<Part>, &str)> {
    let inner = text.strip_prefix("${")?;
    for escaped in ["*}", "?}", "$}"] {
        if let Some(after) = inner.strip_prefix(escaped) {
            return Some((None, after));
        }
    }
    let end = inner.find(['}', ',', '\''])?;
    let (name, rest) = inner.split_at_checked(end)?;
    let key = Key::parse(name.trim());
    if name.trim().is_empty() {
        return None;
    }
    if let Some(after) = rest.strip_prefix('}') {
        return Some((Some(Part::Variable { key, default: None }), after));
    }
    let quoted = rest.strip_prefix(',')?.trim_start().strip_prefix('\'')?;
    let (default, after) = quoted.split_once('\'')?;
    let after = after.trim_start().strip_prefix('}')?;
    Some((Some(Part::Variable { key, default: Some(default.into()) }), after))
}

/// Matches with two places to come back to: the last `*`, and the last `*` that stays within its part. An earlier one
/// need never be tried again: what lies between two was matched as early as can be.
fn glob(tokens: &[Token], text: &[u8], case: Case) -> bool {
    let (mut token, mut at) = (0, 0);
    let mut many: Option<(usize, usize)> = None;
    let mut many_of_part: Option<(usize, usize)> = None;
    loop {
        match (tokens.get(token), text.get(at)) {
            (None, None) => return true,
            (Some(Token::Many), _) => {
                token += 1;
                if token == tokens.len() {
                    return true;
                }
                many = Some((token, at));
                many_of_part = None;
                continue;
            }
            (Some(Token::ManyOfPart), _) => {
                token += 1;
                many_of_part = Some((token, at));
                continue;
            }
            (Some(Token::Byte(own)), Some(byte))
                if own == byte || (case == Case::Ignored && own.eq_ignore_ascii_case(byte)) =>
            {
                token += 1;
                at += 1;
                continue;
            }
            (Some(Token::One), Some(byte)) => {
                token += 1;
                at += width(*byte);
                continue;
            }
            (Some(Token::OneOfPart), Some(byte)) if *byte != b':' => {
                token += 1;
                at += width(*byte);
                continue;
            }
            _ => {}
        }
        if let Some((next, from)) = many_of_part {
            match text.get(from) {
                Some(byte) if *byte != b':' => {
                    (token, at) = (next, from + width(*byte));
                    many_of_part = Some((token, at));
                    continue;
                }
                _ => many_of_part = None,
            }
        }
        match many.and_then(|(next, from)| Some((next, from + width(*text.get(from)?)))) {
            Some((next, from)) => {
                (token, at) = (next, from);
                many = Some((token, at));
            }
            None => return false,
        }
    }
}

/// The length in bytes of the character that begins with this byte of UTF-8.
fn width(byte: u8) -> usize {
    match byte {
        0xF0.. => 4,
        0xE0.. => 3,
        0xC0.. => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::{Case, Pattern, Reading, Wildcards};
    use crate::policy::Context;
    use crate::policy::keys::Question;

    const TEXT: Reading = Reading { variables: true, wildcards: Wildcards::Text, case: Case::Exact };
    const RESOURCE: Reading = Reading { wildcards: Wildcards::Resource, ..TEXT };
    const ARN: Reading = Reading { wildcards: Wildcards::Arn, ..TEXT };

    fn matches(pattern: &str, reading: Reading, text: &str) -> bool {
        let mut context = Context::default();
        context.set("www.amazon.com:user_id", "am*zn");
        context.set_all("dynamodb:Attributes", vec!["a".to_owned(), "b".to_owned()]);
        Pattern::parse(pattern, reading).matches(text, &Question::of_context(&context))
    }

    #[test]
    fn wildcards_of_texts() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("?", "", false),
            ("?", "a", true),
            ("?", "ä", true),
            ("?", "€", true),
            ("?", "😀", true),
            ("??", "ä", false),
            ("a*", "a", true),
            ("a*", "abc", true),
            ("a*", "ba", false),
            ("*a", "bca", true),
            ("*a", "ab", false),
            ("a*c", "abcbc", true),
            ("a*c", "abcb", false),
            ("a**c", "ac", true),
            ("*ab*ab*", "abxab", true),
            ("*ab*ab*", "abxb", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a:*:b", "a:x:y:b", true),
            ("ABC", "abc", false),
        ] {
            assert_eq!(matches(pattern, TEXT, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn wildcards_stay_within_their_part_of_an_arn_except_at_its_end() {
        let table = "arn:aws:dynamodb:eu-west-1:111122223333:table/Music";
        let stream = "arn:aws:dynamodb:eu-west-1:111122223333:table/Music/stream/2015-05-11T21:21:33.291";
        for (pattern, text, expected) in [
            ("arn:aws:dynamodb:*:111122223333:table/Music", table, true),
            ("arn:aws:dynamodb:eu-*-1:111122223333:table/Music", table, true),
            ("arn:aws:dynamodb:eu-*1122223333:table/Music", table, false),
            ("arn:aws:dynamodb:eu?west-1:111122223333:table/Music", table, true),
            ("arn:aws:dynamodb:eu-west-1?111122223333:table/Music", table, false),
            ("arn:aws:dynamodb:*", table, true),
            ("arn:aws:dynamodb:eu-west-1:*", table, true),
            ("arn:aws:dynamodb:eu-west-1:*:table/Music", table, true),
            ("arn:aws:dynamodb:*:table/Music", table, true),
            ("arn:aws:dynamodb:*:table/Other", table, false),
            ("arn:aws:dynamodb:*:*:table/M*", table, true),
            ("arn:aws:dynamodb:*:*:table/M????", table, true),
            ("arn:aws:dynamodb:*:*:table/M???", table, false),
            ("arn:aws:dynamodb:*:*:table/Music", stream, false),
            ("arn:aws:dynamodb:*:*:table/Music/stream/*", stream, true),
            ("arn:aws:dynamodb:*:*:table/*291", stream, true),
            ("arn:aws:dynamodb:*:*:table/Music/stream/*T21?21?33.291", stream, true),
            ("arn:aws:dynamodb:*w*t*-1:*:table/Music", table, true),
            ("arn:aws:dynamodb:*w*x*-1:*:table/Music", table, false),
        ] {
            assert_eq!(matches(pattern, RESOURCE, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn operators_on_arns_compare_each_part_by_itself() {
        let role = "arn:aws:iam::111122223333:role/team/Reader";
        for (pattern, expected) in [
            ("arn:aws:iam::111122223333:role/team/Reader", true),
            ("arn:aws:iam::*:role/team/*", true),
            ("arn:*:iam::111122223333:role/*", true),
            ("arn:aws:iam:*:role/team/Reader", false),
            ("arn:aws:*", false),
            ("*", false),
            ("arn:aws:iam::1111222?3333:role/*/Reader", true),
        ] {
            assert_eq!(matches(pattern, ARN, role), expected, "{pattern}");
        }
    }

    #[test]
    fn variables_and_their_defaults() {
        for (pattern, text, expected) in [
            ("${www.amazon.com:user_id}", "am*zn", true),
            ("${WWW.Amazon.com:USER_ID}", "am*zn", true),
            // The value's `*` is no wildcard.
            ("${www.amazon.com:user_id}", "amazon", false),
            ("x-${www.amazon.com:user_id}-*", "x-am*zn-y", true),
            ("${aws:username}", "", false),
            ("${aws:username}", "${aws:username}", false),
            ("*${aws:username}", "anything", false),
            ("${aws:username, 'anonymous'}", "anonymous", true),
            ("${aws:username,'anonymous'}", "anonymous", true),
            ("${aws:username, 'a*'}", "abc", false),
            ("${aws:username, 'a*'}", "a*", true),
            ("${www.amazon.com:user_id, 'anonymous'}", "am*zn", true),
            ("${www.amazon.com:user_id, 'anonymous'}", "anonymous", false),
            ("${*}", "*", true),
            ("${*}", "a", false),
            ("${?}", "?", true),
            ("${$}", "$", true),
            ("${$}{aws:username}", "${aws:username}", true),
            // A key with several values can not be filled in.
            ("${dynamodb:Attributes}", "a", false),
            // No variables: themselves.
            ("${", "${", true),
            ("${}", "${}", true),
            ("${aws:username", "${aws:username", true),
            ("${aws:username, anonymous}", "${aws:username, anonymous}", true),
            ("$100", "$100", true),
        ] {
            assert_eq!(matches(pattern, TEXT, text), expected, "{pattern} on {text}");
        }
        let old = Reading { variables: false, ..TEXT };
        assert!(matches("${aws:username}", old, "${aws:username}"), "in documents of 2008 there are no variables");
    }

    #[test]
    fn case_is_ignored_where_it_shall_be() {
        let ignored = Reading { case: Case::Ignored, ..TEXT };
        assert!(matches("dynamodb:Get*", ignored, "DynamoDB:GETITEM"));
        assert!(matches("ÄRGER?", ignored, "ärgerX"));
        assert!(matches("${WWW.amazon.com:user_id}", ignored, "AM*ZN"));
        assert!(!matches("dynamodb:Get*", TEXT, "DynamoDB:GetItem"));
    }

    #[test]
    fn hostile_patterns_take_no_longer_than_their_length_times_the_text() {
        let begun = Instant::now();
        let pattern = format!("{}b", "*a".repeat(5_000));
        assert!(!matches(&pattern, TEXT, &"a".repeat(2_000)));
        let pattern = format!("arn:aws:{}b:::x", "*a".repeat(5_000));
        assert!(!matches(&pattern, RESOURCE, &format!("arn:aws:{}:::x", "a".repeat(2_000))));
        assert!(begun.elapsed() < Duration::from_secs(5));
    }

    /// What wildcards mean, told the slow way.
    fn told(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|from| told(rest, &text[from..])),
            Some(('?', rest)) => !text.is_empty() && told(rest, &text[1..]),
            Some((own, rest)) => text.first() == Some(own) && told(rest, &text[1..]),
        }
    }

    /// The same for resources: what a wildcard in the first five parts may take.
    fn told_of_resource(pattern: &[char], text: &[char], colons: usize) -> bool {
        let Some((first, rest)) = pattern.split_first() else { return text.is_empty() };
        let ends_part = rest.first().is_none_or(|next| *next == ':');
        match first {
            '*' => (0..=text.len()).any(|length| {
                (colons >= 5 || ends_part || !text[..length].contains(&':'))
                    && told_of_resource(rest, &text[length..], colons)
            }),
            '?' => {
                text.first().is_some_and(|own| colons >= 5 || *own != ':') && told_of_resource(rest, &text[1..], colons)
            }
            own => text.first() == Some(own) && told_of_resource(rest, &text[1..], colons + usize::from(*own == ':')),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn matching_agrees_with_the_definition(pattern in "[ab:*?]{0,8}", text in "[ab:]{0,10}") {
            let (own, other): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(matches(&pattern, TEXT, &text), told(&own, &other));
        }

        #[test]
        fn matching_of_resources_agrees_with_the_definition(pattern in "[ab:*?]{0,12}", text in "[ab:]{0,12}") {
            let (own, other): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(matches(&pattern, RESOURCE, &text), told_of_resource(&own, &other, 0));
        }
    }
}
