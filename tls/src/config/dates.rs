//! The dates in certificates and revocation lists. The checks of rustls use them, and do not tell
//! them.

use std::time::SystemTime;

use der::asn1::{AnyRef, GeneralizedTime, UtcTime};
use der::{Decode, SliceReader, Tag, TagNumber, Tagged};

/// When a certificate is valid (RFC 5280, 4.1.2.5), both ends included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validity {
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
}

/// The dates of a certificate in DER. A date before 1970 is an error.
pub(crate) fn validity(certificate: &[u8]) -> der::Result<Validity> {
    let certificate = AnyRef::from_der(certificate)?;
    let to_be_signed = AnyRef::decode(&mut SliceReader::new(certificate.value())?)?;
    let mut fields = SliceReader::new(to_be_signed.value())?;
    let first = AnyRef::decode(&mut fields)?;
    if first.tag() == VERSION {
        AnyRef::decode(&mut fields)?; // the serial number
    }
    AnyRef::decode(&mut fields)?; // the signature's algorithm
    AnyRef::decode(&mut fields)?; // the issuer
    let validity = AnyRef::decode(&mut fields)?;
    let mut dates = SliceReader::new(validity.value())?;
    Ok(Validity { not_before: time(&mut dates)?, not_after: time(&mut dates)? })
}

/// When the next list after that revocation list in DER is due (RFC 5280, 5.1.2.5).
pub(crate) fn next_update(list: &[u8]) -> der::Result<Option<SystemTime>> {
    let list = AnyRef::from_der(list)?;
    let to_be_signed = AnyRef::decode(&mut SliceReader::new(list.value())?)?;
    let mut fields = SliceReader::new(to_be_signed.value())?;
    let first = AnyRef::decode(&mut fields)?;
    if first.tag() == Tag::Integer {
        AnyRef::decode(&mut fields)?; // the signature's algorithm, behind the version
    }
    AnyRef::decode(&mut fields)?; // the issuer
    time(&mut fields)?; // of this update
    match Tag::peek(&fields) {
        Ok(Tag::UtcTime | Tag::GeneralizedTime) => time(&mut fields).map(Some),
        _ => Ok(None),
    }
}

fn time(dates: &mut SliceReader<'_>) -> der::Result<SystemTime> {
    let date = AnyRef::decode(dates)?;
    let since_1970 = match date.tag() {
        Tag::UtcTime => date.decode_as::<UtcTime>()?.to_unix_duration(),
        _ => date.decode_as::<GeneralizedTime>()?.to_unix_duration(),
    };
    Ok(SystemTime::UNIX_EPOCH + since_1970)
}

/// The tag of a certificate's version, which is optional.
const VERSION: Tag = Tag::ContextSpecific { constructed: true, number: TagNumber(0) };

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use quickcheck::quickcheck;

    use super::*;

    /// Made by openssl, for a hundred years.
    const CERTIFICATE: &[u8] = include_bytes!("../../tests/data/prime256v1.der");

    #[test]
    fn the_dates_are_those_that_openssl_wrote() {
        let valid = validity(CERTIFICATE).unwrap();
        let days = valid.not_after.duration_since(valid.not_before).unwrap();
        assert_eq!(days, Duration::from_secs(36_500 * 24 * 60 * 60));
    }

    quickcheck! {
        fn no_bytes_make_it_panic(bytes: Vec<u8>) -> bool {
            let _ = (validity(&bytes), next_update(&bytes));
            true
        }

        fn no_change_of_a_certificate_makes_it_panic(at: usize, byte: u8, length: usize) -> bool {
            let mut bytes = CERTIFICATE.to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.truncate(length % CERTIFICATE.len() + 1);
            let _ = (validity(&bytes), next_update(&bytes));
            true
        }
    }
}
