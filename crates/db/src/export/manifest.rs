//! The manifests of an export, which tools read it by: one line for each data file, and a summary.
//!
//! Source: "DynamoDB table export output format", Developer Guide.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use partita_objects::{ObjectStore, Result};
use serde::Serialize;

use super::file::WrittenFile;
use super::record::{ExportEncryption, ExportRecord, ExportSpan, ExportView};

/// The version of the form of summaries of whole tables.
const FULL_VERSION: &str = "2020-06-30";
/// The same for those of changes.
const CHANGES_VERSION: &str = "2023-08-01";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    item_count: i64,
    md5_checksum: &'a str,
    etag: &'a str,
    data_file_s3_key: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary<'a> {
    version: &'static str,
    export_arn: String,
    start_time: String,
    end_time: String,
    table_arn: String,
    table_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    export_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    export_from_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    export_to_time: Option<String>,
    s3_bucket: &'a str,
    s3_prefix: Option<&'a str>,
    s3_sse_algorithm: &'static str,
    s3_sse_kms_key_id: Option<&'a str>,
    manifest_files_s3_key: &'a str,
    billed_size_bytes: i64,
    item_count: i64,
    output_format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_view: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    export_type: Option<&'static str>,
}

/// Writes the manifests of an export whose data files are written; the summary last.
pub(super) async fn write(store: &ObjectStore, export: &ExportRecord, files: &[WrittenFile]) -> Result<()> {
    let mut lines = Vec::new();
    for file in files {
        let line =
            Line { item_count: file.items, md5_checksum: &file.md5, etag: &file.etag, data_file_s3_key: &file.key };
        append(&line, &mut lines);
    }
    let files_key = format!("{}manifest-files.json", export.folder());
    put(store, &export.folder(), "manifest-files", lines).await?;
    let mut text = Vec::new();
    append(&summary(export, &files_key), &mut text);
    put(store, &export.folder(), "manifest-summary", text).await
}

fn append(value: &impl Serialize, out: &mut Vec<u8>) {
    // Texts and numbers always have a JSON.
    if let Ok(mut line) = serde_json::to_vec(value) {
        out.append(&mut line);
    }
    out.push(b'\n');
}

async fn put(store: &ObjectStore, folder: &str, name: &str, content: Vec<u8>) -> Result<()> {
    let sum = STANDARD.encode(*md5::compute(&content));
    store.put(&format!("{folder}{name}.checksum"), Bytes::from(sum)).await?;
    store.put(&format!("{folder}{name}.json"), content.into()).await?;
    Ok(())
}

fn summary<'a>(export: &'a ExportRecord, files_key: &'a str) -> Summary<'a> {
    let request = &export.request;
    let (algorithm, key) = match &request.encryption {
        Some(ExportEncryption::Kms(key)) => ("KMS", key.as_deref()),
        Some(ExportEncryption::Aes256) | None => ("AES256", None),
    };
    let at = shown(export.at_ms);
    let (export_time, from, to, view) = match request.span {
        ExportSpan::Full(_) => (Some(at), None, None, None),
        ExportSpan::Changes { from, view, .. } => (None, Some(shown(from.saturating_mul(1000))), Some(at), Some(view)),
    };
    Summary {
        version: if view.is_some() { CHANGES_VERSION } else { FULL_VERSION },
        export_arn: export.arn(),
        start_time: shown(export.began_ms),
        end_time: shown(export.ended_ms.unwrap_or(export.began_ms)),
        table_arn: export.table_arn(),
        table_id: &export.table_uuid,
        export_time,
        export_from_time: from,
        export_to_time: to,
        s3_bucket: &request.bucket,
        s3_prefix: request.prefix.as_deref(),
        s3_sse_algorithm: algorithm,
        s3_sse_kms_key_id: key,
        manifest_files_s3_key: files_key,
        billed_size_bytes: export.bytes,
        item_count: export.items,
        output_format: request.format.name(),
        output_view: view.map(|view| match view {
            ExportView::New => "NEW_IMAGE",
            ExportView::NewAndOld => "NEW_AND_OLD_IMAGES",
        }),
        export_type: view.map(|_| "INCREMENTAL_EXPORT"),
    }
}

/// A time as manifests have it, such as `2020-11-04T07:28:34.028Z`.
fn shown(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_milliseconds() {
        assert_eq!(shown(1_604_474_914_028), "2020-11-04T07:28:34.028Z");
        assert_eq!(shown(0), "1970-01-01T00:00:00.000Z");
    }
}
