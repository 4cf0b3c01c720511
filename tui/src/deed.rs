//! What an operator may do: one table of deeds.

/// A fault that a drill makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The process is killed; it does not come back by itself.
    Kill,
    /// The process stands still for a while.
    Stop,
    /// The node is cut off from everybody for a while.
    Partition,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Kill, Self::Stop, Self::Partition];

    /// As `standfast drill` calls it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Partition => "partition",
        }
    }
}

/// What an operator may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// The primary hands over to a standby.
    Switchover,
    /// Makes a standby the primary.
    Failover,
    /// Takes a standby out of the in-sync set.
    Detach,
    /// Overwrites what differs on a standby from the primary.
    Repair,
    /// Strikes a node on purpose, and measures what comes of it.
    Drill(Fault),
    /// No standby takes over by itself for a while.
    Pause,
    /// Ends that, and acknowledges the automatic failovers so far.
    Resume,
    /// Flips a bit in a standby's memory, where the node allows it.
    Corrupt,
}

/// What is asked before anything is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dry {
    /// There is no dry run: the dialog says what is known.
    None,
    /// The node that would be asked to act.
    Asked,
    /// The standby that would take over.
    Survivor,
}

impl Deed {
    /// The word for it: the command, and what the record says.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Switchover => "switchover",
            Self::Failover => "failover",
            Self::Detach => "detach",
            Self::Repair => "repair",
            Self::Drill(Fault::Kill) => "drill kill",
            Self::Drill(Fault::Stop) => "drill stop",
            Self::Drill(Fault::Partition) => "drill partition",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Corrupt => "corrupt",
        }
    }

    pub(crate) fn dry(self) -> Dry {
        match self {
            Self::Switchover | Self::Failover => Dry::Asked,
            Self::Drill(_) => Dry::Survivor,
            Self::Detach | Self::Repair | Self::Pause | Self::Resume | Self::Corrupt => Dry::None,
        }
    }

    /// Over the dialog.
    pub(crate) fn title(self, target: &str) -> String {
        match self {
            Self::Switchover => format!("SWITCH OVER to {target}"),
            Self::Failover => format!("FAIL OVER to {target}"),
            Self::Detach => format!("DETACH {target}"),
            Self::Repair => format!("REPAIR {target}"),
            Self::Drill(fault) => format!("DRILL: {} {target}", fault.word()),
            Self::Pause => "PAUSE automatic failover".to_owned(),
            Self::Resume => "RESUME automatic failover".to_owned(),
            Self::Corrupt => format!("CORRUPT {target}"),
        }
    }
}
