//! Which role a node plays, and whether it may take over. Sees facts, never a
//! service; every decision carries a sentence that says why.

mod automation;
mod eligibility;
mod leadership;
mod rehearsal;
mod role;

pub use automation::{Automation, FlapLimit, Pause};
pub use eligibility::{Facts, Reason, Verdict, may_promote};
pub use leadership::{
    AutomationAnswer, AutomationNews, AutomationOrder, CallId, Certainty, HandOverOrder, HolderView,
    Leadership, LeadershipAction, LeadershipConfig, LeadershipEvent, LeadershipFacts, LeadershipTimes,
    LeadershipView, Term,
};
pub use rehearsal::{Answer, CoordinatorProof, Proof, Rehearsal, RehearsalFacts, rehearse};
pub use role::{Cause, Role, TRANSITIONS, Transition};
