//! Bodies of the ops about tasks.

use std::borrow::Cow;

use super::codec::{DecodeError, Reader};
use super::op::Op;
use crate::types::{ClientId, TaskId, TaskStatus, TransferKind, WallTime, limits};

pub(super) fn create<'a>(r: &mut Reader<'a>) -> Result<Op<'a>, DecodeError> {
    Ok(Op::TaskCreate {
        kind: transfer_kind(r)?,
        client: ClientId(r.uuid("client")?),
        key: r.key()?,
        source: Cow::Borrowed(r.text("source segment", limits::ENDPOINT_BYTES_MAX)?),
        targets: targets(r)?,
        wall: WallTime(r.u64("task time")?),
    })
}

pub(super) fn fetch<'a>(r: &mut Reader<'a>) -> Result<Op<'a>, DecodeError> {
    let n = usize::from(r.u16("number of tasks")?);
    if n == 0 || n > limits::TASK_FETCH_MAX {
        return Err(bad("number of tasks", n as u64, "1 to TASK_FETCH_MAX"));
    }
    let tasks = (0..n).map(|_| Ok(TaskId(r.pos("task id")?))).collect::<Result<_, _>>()?;
    Ok(Op::TaskFetch { tasks, wall: WallTime(r.u64("task time")?) })
}

pub(super) fn end<'a>(r: &mut Reader<'a>) -> Result<Op<'a>, DecodeError> {
    Ok(Op::TaskEnd {
        task: TaskId(r.pos("task id")?),
        status: final_status(r)?,
        message: Cow::Borrowed(r.text("task message", limits::TASK_MESSAGE_BYTES_MAX)?),
        wall: WallTime(r.u64("task time")?),
    })
}

pub(super) fn transfer_kind(r: &mut Reader<'_>) -> Result<TransferKind, DecodeError> {
    match r.u8("transfer kind")? {
        0 => Ok(TransferKind::Copy),
        1 => Ok(TransferKind::Move),
        n => Err(bad("transfer kind", n.into(), "0 or 1")),
    }
}

fn final_status(r: &mut Reader<'_>) -> Result<TaskStatus, DecodeError> {
    let code = r.u8("task status")?;
    let status = TaskStatus::from_code(code).filter(|s| s.is_final());
    status.ok_or(bad("task status", code.into(), "2 or 3, a final one"))
}

fn targets<'a>(r: &mut Reader<'a>) -> Result<Vec<Cow<'a, str>>, DecodeError> {
    let n = r.u8("number of targets")?;
    if n == 0 || usize::from(n) > limits::REPLICAS_MAX {
        return Err(bad("number of targets", n.into(), "1 to REPLICAS_MAX"));
    }
    (0..n).map(|_| Ok(Cow::Borrowed(r.text("target segment", limits::ENDPOINT_BYTES_MAX)?))).collect()
}

fn bad(field: &'static str, value: u64, expected: &'static str) -> DecodeError {
    DecodeError::Field { field, value, expected }
}
