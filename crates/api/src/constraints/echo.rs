//! How messages repeat a value of the request: as Java prints the service's own objects, cut off at a limit.

use std::borrow::Cow;

use bytes::Bytes;
use partita_model::{AttributeMap, AttributeValue};

use crate::json::{Entries, Timestamp};

/// How many bytes of a value a message repeats at most. The service repeats all of it; a limit keeps a message from
/// growing to many times the request.
const MAX_ECHOED: usize = 65_536;

/// A value that a message can repeat.
pub trait Echo {
    /// Appends the value as Java prints it.
    fn echo(&self, out: &mut Echoed);
}

/// The text of a value, while it is being made.
#[derive(Debug, Default)]
pub struct Echoed(String);

impl Echoed {
    /// The text of `value`.
    pub fn of(value: &impl Echo) -> String {
        let mut out = Self::default();
        value.echo(&mut out);
        out.0
    }

    /// Appends text unless the limit is reached.
    pub fn push(&mut self, text: &str) {
        if self.0.len() < MAX_ECHOED {
            self.0.push_str(&shortened(text));
        }
    }

    /// Appends a label and a member, `null` when it is absent.
    pub fn member<T: Echo>(&mut self, label: &str, value: &Option<T>) {
        self.push(label);
        match value {
            Some(value) => value.echo(self),
            None => self.push("null"),
        }
    }

    fn is_full(&self) -> bool {
        self.0.len() >= MAX_ECHOED
    }

    fn list<T: Echo>(&mut self, values: impl Iterator<Item = T>) {
        self.push("[");
        for (index, value) in values.enumerate() {
            if self.is_full() {
                return;
            }
            if index > 0 {
                self.push(", ");
            }
            value.echo(self);
        }
        self.push("]");
    }

    fn map<'a, T: Echo + 'a>(&mut self, entries: impl Iterator<Item = (&'a str, &'a T)>) {
        self.push("{");
        for (index, (key, value)) in entries.enumerate() {
            if self.is_full() {
                return;
            }
            if index > 0 {
                self.push(", ");
            }
            self.push(key);
            self.push("=");
            value.echo(self);
        }
        self.push("}");
    }
}

/// The text, cut off at the limit.
pub(super) fn shortened(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_ECHOED {
        return Cow::Borrowed(text);
    }
    let end = (0..=MAX_ECHOED).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    Cow::Borrowed(text.get(..end).unwrap_or_default())
}

impl<T: Echo + ?Sized> Echo for &T {
    fn echo(&self, out: &mut Echoed) {
        (**self).echo(out);
    }
}

impl Echo for str {
    fn echo(&self, out: &mut Echoed) {
        out.push(self);
    }
}

impl Echo for String {
    fn echo(&self, out: &mut Echoed) {
        out.push(self);
    }
}

macro_rules! displayed {
    ($($type:ty)*) => {
        $(impl Echo for $type {
            fn echo(&self, out: &mut Echoed) {
                out.push(&self.to_string());
            }
        })*
    };
}
displayed!(bool i32 i64);

impl Echo for f64 {
    fn echo(&self, out: &mut Echoed) {
        out.push(&format!("{self:?}"));
    }
}

impl Echo for Timestamp {
    fn echo(&self, out: &mut Echoed) {
        self.0.echo(out);
    }
}

impl Echo for Bytes {
    fn echo(&self, out: &mut Echoed) {
        let length = self.len();
        out.push(&format!("java.nio.HeapByteBuffer[pos=0 lim={length} cap={length}]"));
    }
}

impl<T: Echo> Echo for Vec<T> {
    fn echo(&self, out: &mut Echoed) {
        out.list(self.iter());
    }
}

impl<T: Echo> Echo for Entries<T> {
    fn echo(&self, out: &mut Echoed) {
        out.map(self.iter());
    }
}

impl Echo for AttributeMap {
    fn echo(&self, out: &mut Echoed) {
        out.map(self.iter());
    }
}

impl Echo for AttributeValue {
    fn echo(&self, out: &mut Echoed) {
        /// The members of the service's own object, in its order.
        const MEMBERS: [&str; 16] = [
            "s",
            "n",
            "b",
            "iNT",
            "dECIMAL",
            "dOUBLE",
            "sS",
            "nS",
            "bS",
            "iNTSET",
            "dECIMALSET",
            "dOUBLESET",
            "m",
            "l",
            "nULL",
            "bOOL",
        ];
        let present = match self {
            Self::S(_) => "s",
            Self::N(_) => "n",
            Self::B(_) => "b",
            Self::Bool(_) => "bOOL",
            Self::Null => "nULL",
            Self::M(_) => "m",
            Self::L(_) => "l",
            Self::Ss(_) => "sS",
            Self::Ns(_) => "nS",
            Self::Bs(_) => "bS",
        };
        let mut separator = "AttributeValue(";
        for member in MEMBERS {
            out.push(separator);
            separator = ", ";
            out.push(member);
            out.push("=");
            if member != present {
                out.push("null");
                continue;
            }
            match self {
                Self::S(text) => text.echo(out),
                Self::N(number) => out.push(&number.to_string()),
                Self::B(bytes) => bytes.echo(out),
                Self::Bool(value) => value.echo(out),
                Self::Null => out.push("true"),
                Self::M(map) => map.echo(out),
                Self::L(list) => list.echo(out),
                Self::Ss(set) => out.list(set.iter()),
                Self::Ns(set) => out.list(set.iter().map(ToString::to_string)),
                Self::Bs(set) => out.list(set.iter()),
            }
        }
        out.push(")");
    }
}
