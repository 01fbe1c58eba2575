//! What a failed call of an SDK means to the fleet.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use ports::{Port, PortError};

/// What services say when a call comes too early.
const THROTTLED: [&str; 12] = [
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "Throttling",
    "ThrottlingError",
    "ThrottlingException",
    "TooManyRequestsException",
];

/// The port's failure for the SDK's.
pub(crate) fn of_call<E: ProvideErrorMetadata>(
    port: Port,
    error: &SdkError<E, HttpResponse>,
) -> PortError {
    let cause = cause(port, error);
    match error {
        SdkError::ServiceError(answer) => {
            let code = answer.err().code().unwrap_or_default();
            of_code(port, code, answer.raw().status().is_server_error(), cause)
        }
        SdkError::ConstructionFailure(_) => PortError::Refused { port, cause },
        // Sent or not, nobody knows what became of it.
        _ => PortError::Unavailable { port, cause },
    }
}

/// The port's failure for an error code, of a whole call or of one entry in a batch.
pub(crate) fn of_code(port: Port, code: &str, servers_fault: bool, cause: String) -> PortError {
    if THROTTLED.contains(&code) {
        PortError::Throttled { port, cause }
    } else if servers_fault {
        PortError::Unavailable { port, cause }
    } else {
        PortError::Refused { port, cause }
    }
}

/// The error code of a call that the service answered.
pub(crate) fn code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> &str {
    error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code)
        .unwrap_or_default()
}

/// The error's message of a call that the service answered.
pub(crate) fn message<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> &str {
    error
        .as_service_error()
        .and_then(ProvideErrorMetadata::message)
        .unwrap_or_default()
}

/// What may be logged. The messages of Cognito and SES name people's addresses, and those stay out.
fn cause<E: ProvideErrorMetadata>(port: Port, error: &SdkError<E, HttpResponse>) -> String {
    match error {
        SdkError::ServiceError(_) if matches!(port, Port::Identity | Port::Mailer) => {
            code(error).to_owned()
        }
        SdkError::ServiceError(_) => format!("{}: {}", code(error), message(error)),
        SdkError::ConstructionFailure(_) => "the request could not be made".into(),
        SdkError::TimeoutError(_) => "no answer in time".into(),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            "no connection in time".into()
        }
        SdkError::DispatchFailure(failure) if failure.is_io() => "the connection broke".into(),
        SdkError::DispatchFailure(_) => "the request could not be sent".into(),
        _ => "the answer could not be read".into(),
    }
}
