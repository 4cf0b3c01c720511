//! Makes everything that has one item per call from the one table of calls.

macro_rules! calls {
    ($($name:ident $(<$life:lifetime>)? => $response:ty,)+) => {
        $(impl<'a> $crate::calls::Call<'a> for $name $(<$life>)? {
            const METHOD: Method = Method::$name;
            type Response = $response;
        })+

        /// The name of a call.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Method {
            $($name,)+
        }

        impl Method {
            /// All calls, in the order of the declaration.
            pub const ALL: [Self; [$(stringify!($name)),+].len()] = [$(Self::$name),+];

            /// The name as the protocol spells it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            fn new_contract(self) -> Contract {
                match self {
                    $(Self::$name => Contract::of::<$name>(),)+
                }
            }
        }

        /// The arguments of any call.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub enum Request<'a> {
            $($name($name $(<$life>)?),)+
        }

        impl<'a> Request<'a> {
            /// Reads a request's payload and tells the form it came in.
            ///
            /// # Errors
            /// The payload does not hold the call's arguments.
            pub fn decode_as(
                method: Method,
                payload: &'a [u8],
            ) -> Result<(Self, $crate::Form), $crate::DecodeError> {
                match method {
                    $(Method::$name => contract::decode_request(payload)
                        .map(|(call, form)| (Self::$name(call), form)),)+
                }
            }

            /// Appends the payload.
            pub fn encode(&self, form: $crate::Form, out: &mut Vec<u8>) {
                match self {
                    $(Self::$name(call) => contract::encode_request(call, form, out),)+
                }
            }

            /// The call these arguments belong to.
            pub fn method(&self) -> Method {
                match self {
                    $(Self::$name(_) => Method::$name,)+
                }
            }
        }

        /// The result of any call.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub enum Response<'a> {
            $($name($response),)+
        }

        impl<'a> Response<'a> {
            /// Reads a response's payload and tells the form it came in.
            ///
            /// # Errors
            /// The payload does not hold the call's result.
            pub fn decode_as(
                method: Method,
                payload: &'a [u8],
            ) -> Result<(Self, $crate::Form), $crate::DecodeError> {
                match method {
                    $(Method::$name => contract::decode_response::<$name>(payload)
                        .map(|(result, form)| (Self::$name(result), form)),)+
                }
            }

            /// Appends the payload.
            pub fn encode(&self, form: $crate::Form, out: &mut Vec<u8>) {
                match self {
                    $(Self::$name(result) => contract::encode_response::<$name>(result, form, out),)+
                }
            }
        }
    };
}

pub(crate) use calls;
