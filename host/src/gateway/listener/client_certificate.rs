//! What a verified client certificate says about its holder.

use std::fmt::Write as _;

use x509_parser::asn1_rs::ToDer;
use x509_parser::extensions::GeneralName;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The short names of attribute types (RFC 4514, 3), and the one of the e-mail address that all tools know.
const SHORT_NAMES: [(&str, &str); 10] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// The holder of a client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The subject as text, the most specific part first: `CN=ada,O=Shop` (RFC 4514). Two subjects never
    /// have one text.
    pub subject: String,
    /// The DNS names, e-mail addresses and URIs, in the order of the certificate.
    pub names: Vec<String>,
}

impl ClientCertificate {
    /// Reads a certificate (DER) that was verified; none when it is malformed.
    pub fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
        let alternatives = certificate.subject_alternative_name().ok()?;
        let alternatives = alternatives.iter().flat_map(|names| &names.value.general_names);
        let names = alternatives.filter_map(|name| match name {
            GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => {
                Some((*name).to_owned())
            }
            _ => None,
        });
        Some(Self { subject: subject(certificate.subject()), names: names.collect() })
    }
}

/// The name in the string form of RFC 4514, 2.
fn subject(name: &X509Name<'_>) -> String {
    let parts: Vec<String> =
        name.iter_rdn().map(|part| part.iter().map(attribute).collect::<Vec<_>>().join("+")).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let id = attribute.attr_type().to_id_string();
    let short = SHORT_NAMES.iter().find(|(known, _)| *known == id).map(|(_, short)| *short);
    match (short, attribute.as_str()) {
        (Some(short), Ok(value)) => format!("{short}={}", escaped(value)),
        // What has no text of its own is shown as its encoding (RFC 4514, 2.4).
        _ => {
            let encoding = attribute.attr_value().to_der_vec().unwrap_or_default();
            let mut text = format!("{id}=#");
            for byte in encoding {
                // Writing to a String cannot fail.
                let _ = write!(text, "{byte:02x}");
            }
            text
        }
    }
}

fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (index, character) in value.chars().enumerate() {
        match character {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' => text.extend(['\\', character]),
            ' ' if index == 0 || index == last => text.push_str("\\ "),
            '#' if index == 0 => text.push_str("\\#"),
            // Control characters would change a header or a line of the log.
            control if control.is_control() => {
                for byte in control.to_string().bytes() {
                    // Writing to a String cannot fail.
                    let _ = write!(text, "\\{byte:02X}");
                }
            }
            character => text.push(character),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

    use super::*;

    #[test]
    fn the_subject_is_unmistakable_and_the_names_are_in_order() {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        let mut name = DistinguishedName::new();
        name.push(DnType::OrganizationName, "Shop, Inc.");
        name.push(DnType::CommonName, "ada+CN=admin\r\n ");
        params.distinguished_name = name;
        params.subject_alt_names = vec![
            SanType::DnsName("ada.example".try_into().unwrap()),
            SanType::Rfc822Name("ada@example.com".try_into().unwrap()),
            SanType::URI("spiffe://shop/ada".try_into().unwrap()),
            SanType::IpAddress("192.0.2.7".parse().unwrap()),
        ];
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let read = ClientCertificate::read(certificate.der()).unwrap();
        assert_eq!(read.subject, "CN=ada\\+CN\\=admin\\0D\\0A\\ ,O=Shop\\, Inc.");
        assert_eq!(read.names, ["ada.example", "ada@example.com", "spiffe://shop/ada"]);
        assert_eq!(ClientCertificate::read(b"no certificate"), None);
    }

    #[test]
    fn what_would_be_read_otherwise_is_escaped() {
        for (value, expected) in [
            ("ada", "ada"),
            (" ada ", "\\ ada\\ "),
            ("#1", "\\#1"),
            ("a#1", "a#1"),
            ("a\\,b", "a\\\\\\,b"),
            ("Žofie", "Žofie"),
            ("\u{85}", "\\C2\\85"),
            ("", ""),
        ] {
            assert_eq!(escaped(value), expected, "{value:?}");
        }
    }
}
