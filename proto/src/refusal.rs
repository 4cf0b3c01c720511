//! A refused call: [`Refusal`] as the detail of a gRPC status.
//!
//! The detail travels as gRPC tools expect it: a `google.rpc.Status` in `grpc-status-details-bin` whose
//! `details` hold one `Any`. So any client library that knows rich errors can read it.

use prost::{Message, Name};
use prost_types::Any;
use tonic::{Code, Status};

use crate::v1::{Refusal, RefusalCode};

/// `google.rpc.Status`, of which nothing else is needed here.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

impl Refusal {
    /// A refusal without a hint; set the other fields where they are known.
    pub fn new(code: RefusalCode, text: impl Into<String>) -> Self {
        Self { code: code.into(), text: text.into(), ..Self::default() }
    }

    /// The refusal that a status carries. `None` when a master did not make this status: then the outcome of a
    /// mutating call is unknown, whatever the status code says.
    pub fn from_status(status: &Status) -> Option<Self> {
        let rich = RpcStatus::decode(status.details()).ok()?;
        let detail = rich.details.iter().find(|any| any.type_url == Self::type_url())?;
        Self::decode(detail.value.as_slice()).ok()
    }

    /// Whether the master stated that the call changed nothing. False for a code that this build does not know.
    pub fn nothing_was_done(&self) -> bool {
        match RefusalCode::try_from(self.code) {
            Ok(
                RefusalCode::NotPrimary
                | RefusalCode::Unavailable
                | RefusalCode::InvalidArgument
                | RefusalCode::LimitExceeded
                | RefusalCode::Unauthenticated,
            ) => true,
            Ok(RefusalCode::OutcomeUnknown | RefusalCode::Unspecified) | Err(_) => false,
        }
    }

    /// The gRPC code of this refusal. A code that this build does not know promises nothing: `UNKNOWN`.
    pub fn grpc_code(&self) -> Code {
        match RefusalCode::try_from(self.code) {
            Ok(RefusalCode::NotPrimary) => Code::FailedPrecondition,
            Ok(RefusalCode::Unavailable) => Code::Unavailable,
            Ok(RefusalCode::InvalidArgument) => Code::InvalidArgument,
            Ok(RefusalCode::LimitExceeded) => Code::ResourceExhausted,
            Ok(RefusalCode::Unauthenticated) => Code::Unauthenticated,
            Ok(RefusalCode::OutcomeUnknown | RefusalCode::Unspecified) | Err(_) => Code::Unknown,
        }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let code = refusal.grpc_code();
        let detail = Any { type_url: Refusal::type_url(), value: refusal.encode_to_vec() };
        let rich = RpcStatus { code: code.into(), message: refusal.text.clone(), details: vec![detail] };
        Status::with_details(code, refusal.text, rich.encode_to_vec().into())
    }
}

impl Name for Refusal {
    const NAME: &'static str = "Refusal";
    const PACKAGE: &'static str = "standfast.v1";

    fn type_url() -> String {
        format!("type.googleapis.com/{}", Self::full_name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODES: [(RefusalCode, Code, bool); 6] = [
        (RefusalCode::Unspecified, Code::Unknown, false),
        (RefusalCode::NotPrimary, Code::FailedPrecondition, true),
        (RefusalCode::Unavailable, Code::Unavailable, true),
        (RefusalCode::OutcomeUnknown, Code::Unknown, false),
        (RefusalCode::InvalidArgument, Code::InvalidArgument, true),
        (RefusalCode::LimitExceeded, Code::ResourceExhausted, true),
    ];

    /// Through the headers, as a client gets it.
    fn over_the_wire(status: &Status) -> Status {
        let mut headers = tonic::codegen::http::HeaderMap::new();
        status.add_header(&mut headers).expect("a status fits into headers");
        Status::from_header_map(&headers).expect("a status was put in")
    }

    #[test]
    fn survives_the_wire_with_every_field() {
        for (code, grpc_code, nothing_was_done) in CODES {
            let refusal = Refusal {
                primary_addr: Some("10.0.0.2:50052".to_owned()),
                epoch: Some(7),
                cure: "standfast status".to_owned(),
                ..Refusal::new(code, "not primary: n2 leads since epoch 7, 50 % done")
            };
            let status = over_the_wire(&refusal.clone().into());
            assert_eq!(status.code(), grpc_code);
            assert_eq!(status.message(), refusal.text);
            assert_eq!(refusal.nothing_was_done(), nothing_was_done);
            assert_eq!(Refusal::from_status(&status), Some(refusal));
        }
    }

    #[test]
    fn unknown_hints_stay_unknown() {
        let status = over_the_wire(&Refusal::new(RefusalCode::NotPrimary, "no primary").into());
        let refusal = Refusal::from_status(&status).expect("it was put in");
        assert_eq!((refusal.primary_addr, refusal.epoch), (None, None));
    }

    #[test]
    fn the_detail_is_a_rich_error_of_grpc() {
        let status = Status::from(Refusal::new(RefusalCode::Unavailable, "no grants"));
        let rich = RpcStatus::decode(status.details()).expect("google.rpc.Status");
        assert_eq!((rich.code, rich.message.as_str()), (14, "no grants"));
        assert_eq!(rich.details[0].type_url, "type.googleapis.com/standfast.v1.Refusal");
    }

    #[test]
    fn a_status_of_the_transport_is_no_refusal() {
        assert_eq!(Refusal::from_status(&Status::unavailable("connection reset")), None);
        let garbage = Status::with_details(Code::Unavailable, "", vec![0xff; 9].into());
        assert_eq!(Refusal::from_status(&garbage), None);
    }

    #[test]
    fn a_newer_code_promises_nothing() {
        let refusal = Refusal { code: 99, ..Refusal::default() };
        assert!(!refusal.nothing_was_done());
        assert_eq!(refusal.grpc_code(), Code::Unknown);
    }
}
