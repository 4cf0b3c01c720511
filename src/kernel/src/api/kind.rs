//! The names of the calls.

use super::Request;

macro_rules! kinds {
    ($($name:ident),+ $(,)?) => {
        /// Which call a [`Request`] is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum RequestKind {
            $(#[doc = concat!("[`Request::", stringify!($name), "`]")] $name),+
        }

        impl RequestKind {
            /// All calls there are.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Its name, for metrics, logs and tables.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name)),+
                }
            }
        }

        impl Request {
            /// Which call it is. A call that is not in the list does not compile.
            #[must_use]
            pub fn kind(&self) -> RequestKind {
                match self {
                    $(Self::$name { .. } => RequestKind::$name),+
                }
            }
        }
    };
}

kinds! {
    MountSegment,
    ReMountSegment,
    UnmountSegment,
    GracefulUnmountSegment,
    QuerySegmentStatus,
    Ping,
    BatchQueryIp,
    GetFsdir,
    GetStorageConfig,
    PutStart,
    UpsertStart,
    PutEnd,
    PutRevoke,
    GetReplicaList,
    ExistKey,
    Remove,
    GetReplicaListByRegex,
    RemoveByRegex,
    RemoveAll,
    BatchReplicaClear,
    CopyStart,
    CopyEnd,
    CopyRevoke,
    MoveStart,
    MoveEnd,
    MoveRevoke,
    CreateCopyTask,
    CreateMoveTask,
    QueryTask,
    FetchTasks,
    MarkTaskToComplete,
    ListKeys,
    GetMetadata,
    PutMetadata,
    RemoveMetadata,
}
