//! The enums of the protocol.

use crate::struct_pack::open_enum;

open_enum! {
    /// Life of a replica. Readers are only shown complete ones.
    ReplicaStatus: i32 {
        UNDEFINED = 0,
        INITIALIZED = 1,
        PROCESSING = 2,
        COMPLETE = 3,
        REMOVED = 4,
        FAILED = 5,
    }
}

open_enum! {
    /// Which replicas a call is about.
    ReplicaType: i32 {
        MEMORY = 0,
        DISK = 1,
        LOCAL_DISK = 2,
        NOF_SSD = 3,
        ALL = 4,
        DFS = 100,
    }
}

open_enum! {
    /// What the master thinks of a client.
    ClientStatus: i32 {
        UNDEFINED = 0,
        OK = 1,
        NEED_REMOUNT = 2,
    }
}

open_enum! {
    /// Life of a segment.
    SegmentStatus: i32 {
        UNDEFINED = 0,
        OK = 1,
        DRAINING = 2,
        DRAINED = 3,
        GRACEFULLY_UNMOUNTING = 4,
        UNMOUNTING = 5,
    }
}

open_enum! {
    /// What a client is asked to do with a replica.
    TaskType: i32 {
        REPLICA_COPY = 0,
        REPLICA_MOVE = 1,
    }
}

open_enum! {
    /// Life of a task.
    TaskStatus: i32 {
        PENDING = 0,
        PROCESSING = 1,
        FAILED = 2,
        SUCCESS = 3,
    }
}

open_enum! {
    /// What a write does to the object's soft pin.
    SoftPinAction: u8 {
        PRESERVE = 0,
        ENABLE = 1,
        DISABLE = 2,
    }
}

open_enum! {
    /// What an object is used for.
    ObjectDataType: u8 {
        UNKNOWN = 0,
        KVCACHE = 1,
        TENSOR = 2,
        WEIGHT = 3,
        SAMPLE = 4,
        ACTIVATION = 5,
        GRADIENT = 6,
        OPTIMIZER_STATE = 7,
        METADATA = 8,
        GENERAL = 9,
    }
}
