//! Alarms, as etcd keeps them: keys that are messages `AlarmMember`, without a value.

use std::io::{Seek, Write};

use prost::Message;
use watchful::{Export, Loader};
use watchful_bbolt::Writer;
use watchful_wire::etcdserverpb::{AlarmMember, AlarmType};

use super::EtcdSnapshotError;
use super::error::schema;
use crate::alarms;

pub(super) fn write<W: Write + Seek>(
    export: &Export<'_>,
    member_id: u64,
    file: &mut Writer<W>,
) -> Result<(), EtcdSnapshotError> {
    // In the order of their numbers, and so of their bytes.
    for alarm in alarms::ALL {
        if export.note(alarms::note_of(alarm))?.is_some() {
            file.put(&AlarmMember { member_id, alarm: alarm.into() }.encode_to_vec(), b"")?;
        }
    }
    Ok(())
}

/// The alarm that a key tells, whichever member's it is: there is one from here on.
pub(super) fn parse(key: &[u8]) -> Result<AlarmType, EtcdSnapshotError> {
    let member = AlarmMember::decode(key).map_err(|_| schema("an alarm of it is none"))?;
    AlarmType::try_from(member.alarm)
        .map_err(|_| schema(format!("its alarm {} is none that is known", member.alarm)))
}

pub(super) fn load(raised: &[AlarmType], loader: &mut Loader<'_, '_>) -> Result<(), EtcdSnapshotError> {
    for alarm in alarms::ALL.into_iter().filter(|alarm| raised.contains(alarm)) {
        loader.note(alarms::note_of(alarm), b"")?;
    }
    Ok(())
}
