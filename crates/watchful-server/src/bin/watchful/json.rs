//! The JSON that programs read: one object a line, fields always in this order.

use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use watchful_wire::KeyValue;

use crate::lease_id::LeaseId;

/// Bytes, in base64.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Base64<'a>(pub(crate) &'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&base64::display::Base64Display::new(self.0, &STANDARD))
    }
}

/// A key with its value.
#[derive(Serialize)]
pub(crate) struct JsonKeyValue<'a> {
    key: Base64<'a>,
    value: Base64<'a>,
    create_revision: i64,
    mod_revision: i64,
    version: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<LeaseId>,
}

/// The shape of [`JsonKeyValue`], as the end of a help.
macro_rules! key_value_help {
    () => {
        r#"
  KV: {"key":BASE64,"value":BASE64,"create_revision":2,"mod_revision":5,"version":3,"lease":HEX};
  the lease only where there is one."#
    };
}
pub(crate) use key_value_help;

impl<'a> From<&'a KeyValue> for JsonKeyValue<'a> {
    fn from(kv: &'a KeyValue) -> Self {
        let kv = kv.view();
        Self {
            key: Base64(kv.key),
            value: Base64(kv.value),
            create_revision: kv.create_revision.cast_signed(),
            mod_revision: kv.mod_revision.cast_signed(),
            version: kv.version.cast_signed(),
            lease: (kv.lease != 0).then_some(LeaseId(kv.lease)),
        }
    }
}

/// The revision that a header tells.
pub(crate) fn revision(header: Option<&watchful_wire::etcdserverpb::ResponseHeader>) -> i64 {
    header.map_or(0, |header| header.revision)
}
