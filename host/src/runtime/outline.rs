//! What can be seen of a component before it is compiled.

use wasmparser::{Parser, Payload};

use crate::runtime::wasi::Wasi;

/// Sections and functions that are looked at: Python has a tenth of them.
const PARTS_MAX: usize = 1_000_000;

/// The outline of a component. Bytes that are none have one too; the compiler says what is wrong with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outline {
    /// The generation of WASI of its newest import or export.
    pub wasi: Wasi,
    /// The bytes of all functions in it.
    pub code_bytes: u64,
}

impl Outline {
    /// Reads the component once. Blocks for as long as that takes.
    pub fn of(component: &[u8]) -> Self {
        let mut outline = Self { wasi: Wasi::P2, code_bytes: 0 };
        let mut depth = 0u32;
        for payload in Parser::new(0).parse_all(component).take(PARTS_MAX).map_while(Result::ok) {
            match payload {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::CodeSectionStart { size, .. } => outline.code_bytes += u64::from(size),
                Payload::ComponentImportSection(imports) if depth == 0 => {
                    imports.into_iter().flatten().for_each(|import| outline.see(import.name.name));
                }
                Payload::ComponentExportSection(exports) if depth == 0 => {
                    exports.into_iter().flatten().for_each(|export| outline.see(export.name.name));
                }
                _ => {}
            }
        }
        outline
    }

    /// Takes the name of an interface into account.
    fn see(&mut self, interface: &str) {
        let version = interface.strip_prefix("wasi:").and_then(|name| Some(name.split_once('@')?.1));
        if version.is_some_and(|version| version.starts_with("0.3.")) {
            self.wasi = Wasi::P3;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_interfaces_of_wasi_0_3_ask_for_its_engine() {
        for (name, expected) in [
            ("wasi:http/handler@0.3.0", Wasi::P3),
            ("wasi:http/incoming-handler@0.2.12", Wasi::P2),
            ("other:http/handler@0.3.0", Wasi::P2),
            ("wasi:keyvalue/store@0.2.0-draft", Wasi::P2),
            ("wasi:http/handler", Wasi::P2),
        ] {
            let mut outline = Outline { wasi: Wasi::P2, code_bytes: 0 };
            outline.see(name);
            assert_eq!(outline.wasi, expected, "{name}");
        }
    }

    #[test]
    fn what_is_no_component_has_no_code() {
        assert_eq!(Outline::of(b"no component"), Outline { wasi: Wasi::P2, code_bytes: 0 });
    }
}
