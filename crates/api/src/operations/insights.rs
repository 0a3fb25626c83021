//! Contributor insights: UpdateContributorInsights, DescribeContributorInsights, ListContributorInsights, and the report
//! of a rule, which is CloudWatch's GetInsightRuleReport.
//!
//! A report holds keys of items, which are values: it is given to those who may describe the insights of its table.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use partita_db::sight::{Insights, InsightsChange, InsightsMode, InsightsRule};
use partita_metrics::heavy::WINDOW_SECONDS;
use partita_model::{ErrorCode, Refusal};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Context;
use crate::authorize::{Body, Named, Place};
use crate::failure::Failure;
use crate::generated::enums::{ContributorInsightsMode, ContributorInsightsStatus};
use crate::generated::inputs::{
    DescribeContributorInsightsInput, ListContributorInsightsInput, UpdateContributorInsightsInput,
};
use crate::generated::outputs::{
    ContributorInsightsSummary, DescribeContributorInsightsOutput, ListContributorInsightsOutput,
    UpdateContributorInsightsOutput,
};
use crate::json::{self, Timestamp};
use crate::request::Decoded;

/// The target of CloudWatch's operation.
pub(crate) const REPORT_TARGET: &str = "GraniteServiceVersion20100801.GetInsightRuleReport";
/// What the names of rules begin with.
const PREFIX: &str = "DynamoDBContributorInsights-";
/// The most that one page lists ("ListContributorInsights": 100).
const MAX_LISTED: usize = 100;
/// Contributors of a report that does not say how many ("GetInsightRuleReport": 10), and the most (100).
const CONTRIBUTORS: usize = 10;
const MAX_CONTRIBUTORS: usize = 100;
/// The most dashes of a rule's name at which its index may begin.
const MAX_SPLITS: usize = 64;

pub(crate) async fn update_contributor_insights(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<UpdateContributorInsightsInput>(body).await?;
    let enabled = input.contributor_insights_action.as_deref() == Some("ENABLE");
    let mode = match input.contributor_insights_mode.as_deref() {
        Some("THROTTLED_KEYS") => Some(InsightsMode::Throttled),
        Some(_) => Some(InsightsMode::AccessedAndThrottled),
        None => None,
    };
    let change = InsightsChange { enabled, mode };
    let table = input.table_name.unwrap_or_default();
    let index = input.index_name.as_deref();
    let insights = context.database.update_insights(&context.caller.scope, &table, index, change).await?;
    let status = if enabled { ContributorInsightsStatus::Enabling } else { ContributorInsightsStatus::Disabling };
    Ok(json::to_vec(&UpdateContributorInsightsOutput {
        contributor_insights_mode: mode_of(&insights),
        table_name: Some(insights.table),
        index_name: insights.index,
        contributor_insights_status: Some(status),
    }))
}

pub(crate) async fn describe_contributor_insights(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<DescribeContributorInsightsInput>(body).await?;
    let table = input.table_name.unwrap_or_default();
    let insights = context.database.insights(&context.caller.scope, &table, input.index_name.as_deref()).await?;
    let rules = insights.record.filter(|record| record.enabled_ms.is_some()).map(|record| {
        record.rules(!insights.sort.is_empty()).map(|rule| rule_name(&insights, rule, record.enabled_ms)).collect()
    });
    Ok(json::to_vec(&DescribeContributorInsightsOutput {
        contributor_insights_mode: mode_of(&insights),
        contributor_insights_status: Some(status_of(&insights)),
        contributor_insights_rule_list: rules,
        last_update_date_time: insights.record.map(|record| Timestamp(record.changed_ms as f64 / 1000.0)),
        table_name: Some(insights.table),
        index_name: insights.index,
        failure_exception: None,
    }))
}

pub(crate) async fn list_contributor_insights(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<ListContributorInsightsInput>(body).await?;
    let most = input.max_results.and_then(|most| usize::try_from(most).ok()).filter(|most| *most > 0);
    let most = most.map_or(MAX_LISTED, |most| most.min(MAX_LISTED));
    let after = input.next_token.as_deref().map(read_token).transpose()?;
    let scope = &context.caller.scope;
    let (listed, next) = match &input.table_name {
        Some(table) => {
            let all = context.database.all_insights(scope, table).await?;
            let passed = after.as_ref().map_or(0, |after| {
                all.iter().position(|insights| insights.index == after.1).map_or(all.len(), |at| at + 1)
            });
            let mut rest: Vec<Insights> = all.into_iter().skip(passed).collect();
            let more = rest.len() > most;
            rest.truncate(most);
            let next = rest.last().filter(|_| more).map(|last| (last.table.clone(), last.index.clone()));
            (rest, next)
        }
        None => context.database.list_insights(scope, after.as_ref(), most).await?,
    };
    let shown = listed.into_iter().map(|insights| ContributorInsightsSummary {
        contributor_insights_status: Some(status_of(&insights)),
        contributor_insights_mode: mode_of(&insights),
        table_name: Some(insights.table),
        index_name: insights.index,
    });
    Ok(json::to_vec(&ListContributorInsightsOutput {
        contributor_insights_summaries: Some(shown.collect()),
        next_token: next.map(|place| URL_SAFE_NO_PAD.encode(json!(place).to_string())),
    }))
}

fn read_token(token: &str) -> Result<(String, Option<String>), Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let place = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    place.ok_or_else(|| Refusal::validation("Invalid NextToken"))
}

fn status_of(insights: &Insights) -> ContributorInsightsStatus {
    match insights.record.and_then(|record| record.enabled_ms) {
        Some(_) => ContributorInsightsStatus::Enabled,
        None => ContributorInsightsStatus::Disabled,
    }
}

fn mode_of(insights: &Insights) -> Option<ContributorInsightsMode> {
    insights.record.map(|record| match record.mode {
        InsightsMode::AccessedAndThrottled => ContributorInsightsMode::AccessedAndThrottledKeys,
        InsightsMode::Throttled => ContributorInsightsMode::ThrottledKeys,
    })
}

/// The name of a rule as the service builds it; how it names those of indexes is not documented.
fn rule_name(insights: &Insights, rule: InsightsRule, enabled_ms: Option<u64>) -> String {
    let index = insights.index.as_ref().map(|index| format!("-{index}")).unwrap_or_default();
    format!("{PREFIX}{}-{}{index}-{}", rule.name(), insights.table, enabled_ms.unwrap_or_default())
}

/// The members of a report's request, timestamps in seconds since the epoch.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReportInput {
    rule_name: String,
    start_time: f64,
    end_time: f64,
    period: u64,
    max_contributor_count: Option<usize>,
    metrics: Option<Vec<String>>,
    order_by: Option<String>,
}

/// GetInsightRuleReport.
pub(crate) async fn report(context: &Context<'_>, body: &[u8]) -> Result<Vec<u8>, Failure> {
    let body = Body::new(body);
    let input: ReportInput = serde_json::from_slice(context.own(body))
        .map_err(|error| Refusal::validation(format!("The request can not be read: {error}")))?;
    context.authorize(&[Named::new("cloudwatch:GetInsightRuleReport", Place::Any)]).await?;
    let (insights, rule) = find_rule(context, &input.rule_name).await?;
    let table = Cow::Borrowed(insights.table.as_str());
    let place = match insights.index.as_deref() {
        Some(index) => Place::Index(table, Cow::Borrowed(index)),
        None => Place::Table(table),
    };
    context.authorize(&[Named::new("dynamodb:DescribeContributorInsights", place)]).await?;
    if !matches!(input.order_by.as_deref(), None | Some("Sum")) {
        return Err(Refusal::validation("OrderBy must be Sum").into());
    }
    let seconds =
        |time: f64| if time.is_finite() && time > 0.0 { format!("{time:.0}").parse().unwrap_or(0) } else { 0 };
    let (from, until): (u64, u64) = (seconds(input.start_time), seconds(input.end_time));
    if from >= until || input.period == 0 || !input.period.is_multiple_of(WINDOW_SECONDS) {
        return Err(Refusal::validation("StartTime must lie before EndTime, and Period be a multiple of 60").into());
    }
    // The period in which the span begins counts whole.
    let from = from - from % WINDOW_SECONDS;
    let most = input.max_contributor_count.unwrap_or(CONTRIBUTORS).clamp(1, MAX_CONTRIBUTORS);
    let place = (insights.table.as_str(), insights.index.as_deref());
    let ranking = context.database.ranking(&context.caller.scope, place, rule, (from, until), most).await?;
    let unit = if rule.is_of_throttled() { 1.0 } else { 0.5 };
    let value = |count: u64| count as f64 * unit;
    let by_period = |windows: &[(u64, u64)]| {
        let mut periods: Vec<(u64, u64)> = Vec::new();
        for (began, count) in windows {
            let period = from + (began.saturating_sub(from)) / input.period * input.period;
            match periods.last_mut() {
                Some((last, sum)) if *last == period => *sum = sum.saturating_add(*count),
                _ => periods.push((period, *count)),
            }
        }
        periods
    };
    let contributors = ranking.contributors.iter().map(|contributor| {
        let keys: Value = serde_json::from_slice(&contributor.key).unwrap_or_default();
        let points = by_period(&contributor.windows)
            .into_iter()
            .map(|(period, count)| json!({"Timestamp": period, "ApproximateValue": value(count)}));
        json!({
            "Keys": keys,
            "ApproximateAggregateValue": value(contributor.count),
            // Partita's own: by how much the value may be too high. SDKs leave out what they do not know.
            "ApproximateError": value(contributor.error),
            "Datapoints": points.collect::<Vec<_>>(),
        })
    });
    let labels = if rule.is_of_items() { [insights.partition, insights.sort].concat() } else { insights.partition };
    let wants_sums = input.metrics.iter().flatten().any(|metric| metric == "Sum");
    let sums = by_period(&ranking.totals).into_iter().filter(|_| wants_sums);
    let sums = sums.map(|(period, count)| json!({"Timestamp": period, "Sum": value(count)}));
    let report = json!({
        "KeyLabels": labels,
        "AggregationStatistic": "Sum",
        "AggregateValue": value(ranking.total),
        "ApproximateUniqueCount": ranking.known,
        "Contributors": contributors.collect::<Vec<_>>(),
        "MetricDatapoints": sums.collect::<Vec<_>>(),
    });
    Ok(report.to_string().into_bytes())
}

/// The table or index whose rule has this name.
async fn find_rule(context: &Context<'_>, name: &str) -> Result<(Insights, InsightsRule), Failure> {
    let unknown = || {
        let message = "The rule does not exist: contributor insights are not enabled on a table or index of this name";
        Failure::from(Refusal::new(ErrorCode::ResourceNotFoundException, message))
    };
    let rest = name.strip_prefix(PREFIX).ok_or_else(unknown)?;
    let (kind, rest) = rest.split_once('-').ok_or_else(unknown)?;
    let (resource, enabled) = rest.rsplit_once('-').ok_or_else(unknown)?;
    let rule = InsightsRule::ALL.into_iter().find(|rule| rule.name() == kind).ok_or_else(unknown)?;
    let enabled: u64 = enabled.parse().map_err(|_| unknown())?;
    let splits = resource
        .match_indices('-')
        .take(MAX_SPLITS)
        .filter_map(|(at, _)| Some((resource.get(..at)?, Some(resource.get(at + 1..)?))));
    for (table, index) in [(resource, None)].into_iter().chain(splits) {
        let scope = &context.caller.scope;
        if context.database.find_table(scope, table).await?.is_none() {
            continue;
        }
        let Ok(insights) = context.database.insights(scope, table, index).await else { continue };
        let is_it = insights.record.is_some_and(|record| {
            record.enabled_ms == Some(enabled) && record.rules(!insights.sort.is_empty()).any(|known| known == rule)
        });
        if is_it {
            return Ok((insights, rule));
        }
    }
    Err(unknown())
}
