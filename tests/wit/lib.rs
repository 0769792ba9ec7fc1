//! The WIT files: they parse, they are pinned, and the components that are built agree with them.

#![cfg(test)]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/guests.rs"]
mod guests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use wit_component::DecodedWasm;
use wit_parser::{Handle, InterfaceId, PackageId, Resolve, Type, TypeDefKind, TypeId, TypeOwner, WorldItem};

use guests::{component, repository};

/// The interfaces of `hostel:service`; `types` is what they share.
const INTERFACES: [&str; 7] =
    ["database", "discovery", "health", "message-handler", "messaging", "migrations", "types"];

/// Every component of the shop, and the guest of the tests.
const COMPONENTS: [&str; 6] = ["customer", "order", "payment", "stock", "warehouse", "probe"];

#[test]
fn one_file_holds_one_interface() {
    for interface in INTERFACES {
        let text = fs::read_to_string(wit().join(format!("{interface}.wit"))).unwrap();
        let found: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("interface ")).collect();
        assert_eq!(found, [format!("{interface} {{")], "{interface}.wit");
    }
    let (resolve, package) = parsed();
    let all: BTreeSet<_> = resolve.packages[package].interfaces.keys().map(String::as_str).collect();
    assert_eq!(all, BTreeSet::from(INTERFACES), "an interface is in none of the files above");
    assert_eq!(resolve.packages[package].name.to_string(), "hostel:service@0.1.0");
}

#[test]
fn an_author_finds_a_world_for_each_kind_of_service() {
    let (resolve, package) = parsed();
    let exports = |world: &str| {
        let id = resolve.packages[package]
            .worlds
            .get(world)
            .unwrap_or_else(|| panic!("there is no world {world}"));
        let names = resolve.worlds[*id].exports.keys().map(|key| resolve.name_world_key(key));
        names.collect::<BTreeSet<_>>()
    };
    let (http, handler) = ("wasi:http/incoming-handler@0.2.12", "hostel:service/message-handler@0.1.0");
    assert_eq!(exports("http-service"), BTreeSet::from([http.to_owned()]));
    assert_eq!(exports("message-worker"), BTreeSet::from([handler.to_owned()]));
    assert_eq!(exports("service"), BTreeSet::from([http.to_owned(), handler.to_owned()]));
}

#[test]
fn vendored_packages_are_pinned_to_one_version_each() {
    let (resolve, _) = parsed();
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (_, package) in &resolve.packages {
        let name = &package.name;
        let version = name.version.as_ref().unwrap_or_else(|| panic!("{name} has no version"));
        versions.entry(format!("{}:{}", name.namespace, name.name)).or_default().push(version.to_string());
    }
    for (name, versions) in &mut versions {
        versions.sort();
        // Guests were built against several drafts of these two, so the host offers each of them.
        match name.as_str() {
            "wasi:config" => assert_eq!(*versions, ["0.2.0-draft", "0.2.0-draft-2024-09-27", "0.2.0-rc.1"]),
            "wasi:keyvalue" => assert_eq!(*versions, ["0.2.0-draft", "0.2.0-draft2"]),
            "wasi:logging" => assert_eq!(*versions, ["0.1.0-draft"]),
            "hostel:service" => assert_eq!(*versions, ["0.1.0"]),
            _ => assert_eq!(*versions, ["0.2.12"], "{name}"),
        }
    }
}

#[test]
fn components_import_and_export_what_the_files_say() {
    let (ours, package) = parsed();
    let known: BTreeMap<_, _> = all_interfaces(&ours);
    let mut seen = BTreeSet::new();
    for name in COMPONENTS {
        let bytes = fs::read(component(name)).unwrap();
        let DecodedWasm::Component(theirs, world) = wit_component::decode(&bytes).unwrap() else {
            panic!("{name} is no component");
        };
        let world = &theirs.worlds[world];
        for (key, item) in world.imports.iter().chain(&world.exports) {
            let interface = theirs.name_world_key(key);
            let WorldItem::Interface { id, .. } = item else { continue };
            if !interface.starts_with("hostel:service/") {
                continue;
            }
            let ours_id =
                known.get(&interface).unwrap_or_else(|| panic!("{name}: {interface} is not in wit/"));
            check_functions(name, &interface, (&theirs, *id), (&ours, *ours_id));
            seen.insert(interface);
        }
    }
    // A component without any import would agree with everything.
    let checked = ["database", "messaging", "message-handler", "migrations"];
    for interface in checked {
        let name = ours.id_of_name(package, interface);
        assert!(seen.contains(&name), "no component uses {name}: {seen:?}");
    }
}

#[test]
fn a_changed_signature_is_seen() {
    let (ours, package) = parsed();
    let database = ours.packages[package].interfaces["database"];
    let original = signatures(&ours, database);
    let mut other = ours.clone();
    let function = other.interfaces[database].functions.values_mut().next().unwrap();
    function.result = Some(Type::U8);
    assert_ne!(original, signatures(&other, database));
}

/// Every function of a guest's interface exists in ours with the same types. A linker leaves out those that are
/// not used, so there may be fewer.
fn check_functions(
    name: &str,
    interface: &str,
    theirs: (&Resolve, InterfaceId),
    ours: (&Resolve, InterfaceId),
) {
    let ours = signatures(ours.0, ours.1);
    for (function, signature) in signatures(theirs.0, theirs.1) {
        let expected = ours.get(&function).unwrap_or_else(|| panic!("{name}: {interface} has no {function}"));
        assert_eq!(signature, *expected, "{name}: {interface}: {function}");
    }
}

fn signatures(resolve: &Resolve, interface: InterfaceId) -> BTreeMap<String, String> {
    let functions = resolve.interfaces[interface].functions.values();
    let signature = functions.map(|function| {
        let parameters =
            function.params.iter().map(|it| format!("{}: {}", it.name, written(resolve, &it.ty)));
        let parameters = parameters.collect::<Vec<_>>().join(", ");
        (function.name.clone(), format!("({parameters}) -> {}", optional(resolve, function.result.as_ref())))
    });
    signature.collect()
}

/// A type written out in full; only resources go by their name.
fn written(resolve: &Resolve, written_type: &Type) -> String {
    let Type::Id(id) = written_type else { return format!("{written_type:?}") };
    let one = |inner: &Type| written(resolve, inner);
    match &resolve.types[*id].kind {
        TypeDefKind::Type(inner) => one(inner),
        TypeDefKind::List(inner) => format!("list<{}>", one(inner)),
        TypeDefKind::Option(inner) => format!("option<{}>", one(inner)),
        TypeDefKind::Result(result) => {
            format!(
                "result<{}, {}>",
                optional(resolve, result.ok.as_ref()),
                optional(resolve, result.err.as_ref())
            )
        }
        TypeDefKind::Tuple(tuple) => format!("tuple<{}>", listed(tuple.types.iter().map(one))),
        TypeDefKind::Record(record) => {
            format!(
                "record {{{}}}",
                listed(record.fields.iter().map(|it| format!("{}: {}", it.name, one(&it.ty))))
            )
        }
        TypeDefKind::Variant(variant) => {
            let cases = variant.cases.iter();
            let cases = cases.map(|it| format!("{}({})", it.name, optional(resolve, it.ty.as_ref())));
            format!("variant {{{}}}", listed(cases))
        }
        TypeDefKind::Enum(cases) => {
            format!("enum {{{}}}", listed(cases.cases.iter().map(|it| it.name.clone())))
        }
        TypeDefKind::Flags(flags) => {
            format!("flags {{{}}}", listed(flags.flags.iter().map(|it| it.name.clone())))
        }
        TypeDefKind::Handle(Handle::Own(id)) => format!("own<{}>", resource(resolve, *id)),
        TypeDefKind::Handle(Handle::Borrow(id)) => format!("borrow<{}>", resource(resolve, *id)),
        TypeDefKind::Resource => resource(resolve, *id),
        other => panic!("teach this test to write out a {}", other.as_str()),
    }
}

fn resource(resolve: &Resolve, id: TypeId) -> String {
    let definition = &resolve.types[id];
    if let TypeDefKind::Type(Type::Id(used)) = definition.kind {
        return resource(resolve, used);
    }
    let TypeOwner::Interface(interface) = definition.owner else {
        panic!("a resource outside of an interface")
    };
    let owner = resolve.id_of(interface).unwrap();
    format!("{owner}.{}", definition.name.as_deref().unwrap())
}

fn optional(resolve: &Resolve, value: Option<&Type>) -> String {
    value.map_or_else(|| "_".to_owned(), |value| written(resolve, value))
}

fn listed(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

fn all_interfaces(resolve: &Resolve) -> BTreeMap<String, InterfaceId> {
    let ids = resolve.interfaces.iter().filter_map(|(id, _)| Some((resolve.id_of(id)?, id)));
    ids.collect()
}

fn parsed() -> (Resolve, PackageId) {
    let mut resolve = Resolve::default();
    let (package, _) =
        resolve.push_dir(wit()).unwrap_or_else(|error| panic!("wit/ does not parse: {error:#}"));
    (resolve, package)
}

fn wit() -> PathBuf {
    repository().join("wit")
}
