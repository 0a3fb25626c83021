//! DynamoDB's error codes, their HTTP status and their name spaces on the wire.

use std::borrow::Cow;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $status:literal $space:literal,)*) => {
        /// The code of an error that a client sees. The variants carry the wire's own names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[$doc])* $name,)* }

        impl ErrorCode {
            /// The code's name without its name space.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// The HTTP status of a response with this code.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// The whole `__type`: name space, `#` and name.
            #[must_use]
            pub const fn wire_type(self) -> &'static str {
                match self { $(Self::$name => concat!($space, "#", stringify!($name)),)* }
            }
        }
    };
}

codes! {
    /// The caller may not do this.
    AccessDeniedException = 400 "com.amazon.coral.service",
    /// A backup is being used by another operation.
    BackupInUseException = 400 "com.amazonaws.dynamodb.v20120810",
    /// There is no such backup.
    BackupNotFoundException = 400 "com.amazonaws.dynamodb.v20120810",
    /// The condition of a write was false.
    ConditionalCheckFailedException = 400 "com.amazonaws.dynamodb.v20120810",
    /// Point-in-time recovery is not enabled on the table.
    ContinuousBackupsUnavailableException = 400 "com.amazonaws.dynamodb.v20120810",
    /// A PartiQL INSERT met an item with that key.
    DuplicateItemException = 400 "com.amazonaws.dynamodb.v20120810",
    /// A stream iterator is older than 15 minutes.
    ExpiredIteratorException = 400 "com.amazonaws.dynamodb.v20120810",
    /// Temporary credentials have ended.
    ExpiredTokenException = 400 "com.amazon.coral.service",
    /// The client token of an export came with another request.
    ExportConflictException = 400 "com.amazonaws.dynamodb.v20120810",
    /// There is no such export.
    ExportNotFoundException = 400 "com.amazonaws.dynamodb.v20120810",
    /// There is no such global table.
    GlobalTableNotFoundException = 400 "com.amazonaws.dynamodb.v20120810",
    /// The same client token came with another request.
    IdempotentParameterMismatchException = 400 "com.amazonaws.dynamodb.v20120810",
    /// The client token of an import was used for another.
    ImportConflictException = 400 "com.amazonaws.dynamodb.v20120810",
    /// There is no such import.
    ImportNotFoundException = 400 "com.amazonaws.dynamodb.v20120810",
    /// The signature's parts are not all there.
    IncompleteSignatureException = 400 "com.amazon.coral.service",
    /// There is no such index.
    IndexNotFoundException = 400 "com.amazonaws.dynamodb.v20120810",
    /// Something failed inside; the request may be retried.
    InternalServerError = 500 "com.amazonaws.dynamodb.v20120810",
    /// The time to export is out of the window.
    InvalidExportTimeException = 400 "com.amazonaws.dynamodb.v20120810",
    /// The restore time is out of the window.
    InvalidRestoreTimeException = 400 "com.amazonaws.dynamodb.v20120810",
    /// An item collection has passed 10 GB.
    ItemCollectionSizeLimitExceededException = 400 "com.amazonaws.dynamodb.v20120810",
    /// A limit of the account or table was passed.
    LimitExceededException = 400 "com.amazonaws.dynamodb.v20120810",
    /// The request carries no credentials.
    MissingAuthenticationTokenException = 400 "com.amazon.coral.service",
    /// Point-in-time recovery is not enabled on the table that is to be restored or exported.
    PointInTimeRecoveryUnavailableException = 400 "com.amazonaws.dynamodb.v20120810",
    /// A resource has no policy.
    PolicyNotFoundException = 400 "com.amazonaws.dynamodb.v20120810",
    /// Provisioned throughput is used up.
    ProvisionedThroughputExceededException = 400 "com.amazonaws.dynamodb.v20120810",
    /// An account quota of request units is used up.
    RequestLimitExceeded = 400 "com.amazonaws.dynamodb.v20120810",
    /// The resource is in a state that forbids this, or exists already.
    ResourceInUseException = 400 "com.amazonaws.dynamodb.v20120810",
    /// There is no such resource.
    ResourceNotFoundException = 400 "com.amazonaws.dynamodb.v20120810",
    /// The body could not be decoded.
    SerializationException = 400 "com.amazon.coral.service",
    /// The server cannot answer at present; the request may be retried.
    ServiceUnavailable = 503 "com.amazonaws.dynamodb.v20120810",
    /// The table that is to be made exists.
    TableAlreadyExistsException = 400 "com.amazonaws.dynamodb.v20120810",
    /// The table that is to be made is being made or deleted already.
    TableInUseException = 400 "com.amazonaws.dynamodb.v20120810",
    /// There is no such table (some operations use this code instead of `ResourceNotFoundException`).
    TableNotFoundException = 400 "com.amazonaws.dynamodb.v20120810",
    /// The rate of requests is too high.
    ThrottlingException = 400 "com.amazon.coral.availability",
    /// A transaction was canceled; the reasons follow.
    TransactionCanceledException = 400 "com.amazonaws.dynamodb.v20120810",
    /// A single write met a transaction.
    TransactionConflictException = 400 "com.amazonaws.dynamodb.v20120810",
    /// A transaction with this token is under way.
    TransactionInProgressException = 400 "com.amazonaws.dynamodb.v20120810",
    /// A stream record was trimmed.
    TrimmedDataAccessException = 400 "com.amazonaws.dynamodb.v20120810",
    /// The operation is not one of the service's, or not built yet.
    UnknownOperationException = 400 "com.amazon.coral.service",
    /// The access key is unknown.
    UnrecognizedClientException = 400 "com.amazon.coral.service",
    /// The signature does not match.
    InvalidSignatureException = 400 "com.amazon.coral.service",
    /// The request breaks a rule.
    ValidationException = 400 "com.amazon.coral.validate",
}

/// A refusal as the client sees it: a code and DynamoDB's words for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.name())]
pub struct Refusal {
    /// The code.
    pub code: ErrorCode,
    /// The message.
    pub message: Cow<'static, str>,
}

impl Refusal {
    /// A refusal with this code and message.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }

    /// A `ValidationException`.
    pub fn validation(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::ValidationException, message)
    }
}
