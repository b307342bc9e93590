//! Keys of web tokens, from PEM files, in the forms that etcd reads: PKCS#8, PKCS#1 and SEC1 for private ones, a public
//! key or a certificate for public ones.

use std::fs;
use std::path::Path;

use ring::rand::SystemRandom;
use ring::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair,
    VerificationAlgorithm,
};
use rustls_pki_types::pem::{PemObject, SectionKind};
use x509_parser::oid_registry::{OID_KEY_TYPE_EC_PUBLIC_KEY, OID_PKCS1_RSAENCRYPTION, OID_SIG_ED25519, Oid};
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo, X509Certificate};

use super::super::settings::SignMethod;

/// What signs.
pub(super) enum Signer {
    Rsa(Box<RsaKeyPair>, &'static dyn RsaEncoding),
    Ec(Box<EcdsaKeyPair>),
    Ed(Box<Ed25519KeyPair>),
}

/// What checks: the algorithm, and the key as ring takes it.
pub(super) struct Verifier {
    pub(super) algorithm: &'static dyn VerificationAlgorithm,
    pub(super) key: Vec<u8>,
}

/// What a method that has two keys is made of.
pub(super) enum Family {
    Rsa(&'static dyn RsaEncoding),
    Ec(&'static EcdsaSigningAlgorithm, Curve),
    Ed,
}

/// A curve: where its object identifier is in a key of PKCS#8.
#[derive(Clone, Copy)]
pub(super) struct Curve {
    /// Version, and the algorithm with the curve, DER.
    pkcs8_head: &'static [u8],
    point_bytes: usize,
}

const P256: Curve = Curve {
    pkcs8_head:
        b"\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07",
    point_bytes: 65,
};

const P384: Curve = Curve {
    pkcs8_head: b"\x02\x01\x00\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22",
    point_bytes: 97,
};

/// The least bits of a modulus that ring takes.
const RSA_BITS_MIN: usize = 2048;

/// More than any key, and little enough to be read whole.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// How a method signs and checks; none of one with a shared secret.
pub(super) fn family(method: SignMethod) -> Option<(Family, &'static dyn VerificationAlgorithm)> {
    Some(match method {
        SignMethod::Hs256 | SignMethod::Hs384 | SignMethod::Hs512 => return None,
        SignMethod::Rs256 => {
            (Family::Rsa(&signature::RSA_PKCS1_SHA256), &signature::RSA_PKCS1_2048_8192_SHA256)
        }
        SignMethod::Rs384 => {
            (Family::Rsa(&signature::RSA_PKCS1_SHA384), &signature::RSA_PKCS1_2048_8192_SHA384)
        }
        SignMethod::Rs512 => {
            (Family::Rsa(&signature::RSA_PKCS1_SHA512), &signature::RSA_PKCS1_2048_8192_SHA512)
        }
        SignMethod::Ps256 => (Family::Rsa(&signature::RSA_PSS_SHA256), &signature::RSA_PSS_2048_8192_SHA256),
        SignMethod::Ps384 => (Family::Rsa(&signature::RSA_PSS_SHA384), &signature::RSA_PSS_2048_8192_SHA384),
        SignMethod::Ps512 => (Family::Rsa(&signature::RSA_PSS_SHA512), &signature::RSA_PSS_2048_8192_SHA512),
        SignMethod::Es256 => (
            Family::Ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, P256),
            &signature::ECDSA_P256_SHA256_FIXED,
        ),
        SignMethod::Es384 => (
            Family::Ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING, P384),
            &signature::ECDSA_P384_SHA384_FIXED,
        ),
        SignMethod::EdDsa => (Family::Ed, &signature::ED25519),
    })
}

/// The bytes of a file of one key.
pub(super) fn contents(option: &str, path: &Path) -> Result<Vec<u8>, String> {
    let wrong = |what: String| format!("{option}: {}: {what}", path.display());
    let size = fs::metadata(path).map_err(|error| wrong(error.to_string()))?.len();
    if size > FILE_BYTES_MAX {
        return Err(wrong("it is larger than 1 MiB; is it the right file?".to_owned()));
    }
    match fs::read(path) {
        Ok(bytes) if bytes.is_empty() => Err(wrong("it is empty".to_owned())),
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(wrong(error.to_string())),
    }
}

impl Family {
    fn name(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RSA",
            Self::Ec(..) => "EC",
            Self::Ed => "Ed25519",
        }
    }

    /// The private key of a file.
    pub(super) fn signer(&self, path: &Path) -> Result<Signer, String> {
        let pem = contents("priv-key", path)?;
        let found = sections(&pem).find_map(|(kind, der)| self.pair(kind, &der));
        let wrong = |what: String| format!("priv-key: {}: {what}", path.display());
        match found {
            Some(Ok(signer)) => Ok(signer),
            Some(Err(rejected)) => Err(wrong(format!("no {} key that can be used: {rejected}", self.name()))),
            None => Err(wrong(format!("there is no private key of {} in it; it must be PEM", self.name()))),
        }
    }

    fn pair(&self, kind: SectionKind, der: &[u8]) -> Option<Result<Signer, ring::error::KeyRejected>> {
        Some(match (self, kind) {
            (Self::Rsa(encoding), SectionKind::PrivateKey) => {
                RsaKeyPair::from_pkcs8(der).map(|pair| Signer::Rsa(Box::new(pair), *encoding))
            }
            (Self::Rsa(encoding), SectionKind::RsaPrivateKey) => {
                RsaKeyPair::from_der(der).map(|pair| Signer::Rsa(Box::new(pair), *encoding))
            }
            (Self::Ec(algorithm, _), SectionKind::PrivateKey) => ec_pair(algorithm, der),
            (Self::Ec(algorithm, curve), SectionKind::EcPrivateKey) => {
                ec_pair(algorithm, &curve.to_pkcs8(der)?)
            }
            (Self::Ed, SectionKind::PrivateKey) => {
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(|pair| Signer::Ed(Box::new(pair)))
            }
            _ => return None,
        })
    }

    /// The public key of a file, as [`Signer::public`] gives it.
    pub(super) fn public(&self, path: &Path) -> Result<Vec<u8>, String> {
        let pem = contents("pub-key", path)?;
        let wrong = |what: &str| format!("pub-key: {}: {what}", path.display());
        let found = sections(&pem).find_map(|(kind, der)| match kind {
            SectionKind::PublicKey => {
                SubjectPublicKeyInfo::from_der(&der).ok().map(|(_, key)| self.public_of(&key))
            }
            SectionKind::Certificate => {
                X509Certificate::from_der(&der).ok().map(|(_, found)| self.public_of(found.public_key()))
            }
            _ => None,
        });
        match found {
            Some(key) => key.map_err(|what| wrong(&what)),
            None => Err(wrong("there is no public key and no certificate in it; it must be PEM")),
        }
    }

    fn public_of(&self, key: &SubjectPublicKeyInfo<'_>) -> Result<Vec<u8>, String> {
        let bytes = key.subject_public_key.data.to_vec();
        let is_of = |oid: &Oid<'_>| key.algorithm.algorithm == *oid;
        let is_right = match self {
            Self::Rsa(_) => is_of(&OID_PKCS1_RSAENCRYPTION),
            Self::Ec(_, curve) => is_of(&OID_KEY_TYPE_EC_PUBLIC_KEY) && bytes.len() == curve.point_bytes,
            Self::Ed => is_of(&OID_SIG_ED25519),
        };
        if !is_right {
            return Err(format!("the key is not one of {} for this sign-method", self.name()));
        }
        let bits = key.parsed().map_or(0, |key| key.key_size());
        if matches!(self, Self::Rsa(_)) && bits < RSA_BITS_MIN {
            return Err(format!("the key has {bits} bits, and {RSA_BITS_MIN} are the least"));
        }
        Ok(bytes)
    }
}

fn ec_pair(
    algorithm: &'static EcdsaSigningAlgorithm,
    pkcs8: &[u8],
) -> Result<Signer, ring::error::KeyRejected> {
    EcdsaKeyPair::from_pkcs8(algorithm, pkcs8, &SystemRandom::new()).map(|pair| Signer::Ec(Box::new(pair)))
}

fn sections(pem: &[u8]) -> impl Iterator<Item = (SectionKind, Vec<u8>)> {
    <(SectionKind, Vec<u8>)>::pem_slice_iter(pem).map_while(Result::ok)
}

impl Signer {
    /// The public key.
    pub(super) fn public(&self) -> Vec<u8> {
        match self {
            Self::Rsa(pair, _) => pair.public_key().as_ref().to_vec(),
            Self::Ec(pair) => pair.public_key().as_ref().to_vec(),
            Self::Ed(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    /// The signature of `message`.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, ring::error::Unspecified> {
        let random = SystemRandom::new();
        Ok(match self {
            Self::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature)?;
                signature
            }
            Self::Ec(pair) => pair.sign(&random, message)?.as_ref().to_vec(),
            Self::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        })
    }
}

impl Curve {
    /// A key of SEC1 as one of PKCS#8: the same bytes, with their curve before them.
    fn to_pkcs8(self, sec1: &[u8]) -> Option<Vec<u8>> {
        const OCTET_STRING: u8 = 0x04;
        const SEQUENCE: u8 = 0x30;
        let mut body = self.pkcs8_head.to_vec();
        body.extend(der(OCTET_STRING, sec1)?);
        der(SEQUENCE, &body)
    }
}

/// One value of DER; none of what is too long to be a key.
fn der(tag: u8, content: &[u8]) -> Option<Vec<u8>> {
    let [high, low] = u16::try_from(content.len()).ok()?.to_be_bytes();
    let mut bytes = match (high, low) {
        (0, 0..=0x7f) => vec![tag, low],
        (0, _) => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    bytes.extend_from_slice(content);
    Some(bytes)
}
