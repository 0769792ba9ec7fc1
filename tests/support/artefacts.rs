//! Components that nobody should deploy, made byte by byte.

use wasm_encoder::{
    BlockType, CodeSection, Component, ComponentExportKind, ComponentExportSection, ComponentImportSection,
    ComponentInstanceSection, ComponentTypeRef, ComponentTypeSection, CustomSection, Function,
    FunctionSection, InstanceSection, InstanceType, MemorySection, MemoryType, Module, ModuleArg,
    ModuleSection, NestedComponentSection, RefType, StartSection, TableSection, TableType, TypeSection,
    ValType,
};

/// The export that makes a component one of the host's.
const HANDLER: &str = "wasi:http/incoming-handler@0.2.0";

/// The types of functions: one answers nothing, one a number.
const NOTHING: u32 = 0;
const NUMBER: u32 = 1;

/// A component around one core module that a service could be, by the names of what it exports.
pub fn component(module: &Module) -> Component {
    let mut component = Component::new();
    component.section(&ModuleSection(module));
    let mut instances = InstanceSection::new();
    instances.instantiate(0, std::iter::empty::<(&str, ModuleArg)>());
    component.section(&instances);
    export_handler(&mut component);
    component
}

/// A component without anything, which nothing could call.
pub fn nothing() -> Component {
    Component::new()
}

/// A component made longer by a section that means nothing.
pub fn padded(mut component: Component, bytes: usize) -> Vec<u8> {
    component.section(&CustomSection { name: "padding".into(), data: vec![0; bytes].into() });
    component.finish()
}

/// A component that wants this interface.
pub fn importing(interface: &str) -> Vec<u8> {
    let mut component = Component::new();
    let mut types = ComponentTypeSection::new();
    types.instance(&InstanceType::new());
    component.section(&types);
    let mut imports = ComponentImportSection::new();
    imports.import(interface, ComponentTypeRef::Instance(0));
    component.section(&imports);
    let mut instances = ComponentInstanceSection::new();
    instances.export_items(std::iter::empty::<(&str, ComponentExportKind, u32)>());
    component.section(&instances);
    let mut exports = ComponentExportSection::new();
    exports.export(HANDLER, ComponentExportKind::Instance, 1, None);
    component.section(&exports);
    component.finish()
}

/// A component of components, each of which makes two instances of the next: two to the power of `depth` in all.
pub fn nested(depth: u32) -> Vec<u8> {
    let mut inner = Component::new();
    inner.section(&ModuleSection(&empty()));
    let mut instances = InstanceSection::new();
    instances.instantiate(0, std::iter::empty::<(&str, ModuleArg)>());
    inner.section(&instances);
    for level in 1..=depth {
        let mut outer = Component::new();
        outer.section(&NestedComponentSection(&inner));
        let mut instances = ComponentInstanceSection::new();
        for _ in 0..2 {
            instances.instantiate(0, std::iter::empty::<(&str, ComponentExportKind, u32)>());
        }
        outer.section(&instances);
        if level == depth {
            let mut instances = ComponentInstanceSection::new();
            instances.export_items(std::iter::empty::<(&str, ComponentExportKind, u32)>());
            outer.section(&instances);
            let mut exports = ComponentExportSection::new();
            exports.export(HANDLER, ComponentExportKind::Instance, 2, None);
            outer.section(&exports);
        }
        inner = outer;
    }
    inner.finish()
}

/// A module without anything.
pub fn empty() -> Module {
    Module::new()
}

/// A module whose start function never ends.
pub fn endless_start() -> Module {
    let mut body = Function::new([]);
    body.instructions().loop_(BlockType::Empty).br(0).end().end();
    let mut module = announcing(1, NOTHING);
    module.section(&StartSection { function_index: 0 });
    module.section(&code(1, |_| body.clone()));
    module
}

/// A module with so many pages of memory from the start.
pub fn memory(pages: u64) -> Module {
    let mut memories = MemorySection::new();
    let (maximum, page_size_log2) = (None, None);
    memories.memory(MemoryType { minimum: pages, maximum, memory64: false, shared: false, page_size_log2 });
    let mut module = Module::new();
    module.section(&memories);
    module
}

/// A module with a table of so many elements from the start.
pub fn table(elements: u64) -> Module {
    let mut tables = TableSection::new();
    let element_type = RefType::FUNCREF;
    tables.table(TableType { element_type, table64: false, minimum: elements, maximum: None, shared: false });
    let mut module = Module::new();
    module.section(&tables);
    module
}

/// A module of so many functions that do nothing.
pub fn many_functions(count: u32) -> Module {
    let mut body = Function::new([]);
    body.instructions().i64_const(1).end();
    with_code(count, |_| body.clone())
}

/// A module of functions in which so many values live through so many blocks: what a compiler has to remember of them
/// grows with the product.
pub fn many_lives(functions: u32, values: u32, blocks: u32) -> Module {
    with_code(functions, |number| {
        let mut body = Function::new([(values, ValType::I64)]);
        let mut code = body.instructions();
        for value in 1..values {
            code.local_get(value - 1).i64_const(i64::from(number + value)).i64_mul().local_set(value);
        }
        for block in 0..blocks {
            code.block(BlockType::Empty).local_get(block % values).i64_eqz().br_if(0);
            code.local_get(block % values).i64_const(1).i64_add().local_set((block + 1) % values).end();
        }
        code.i64_const(0);
        for value in 0..values {
            code.local_get(value).i64_xor();
        }
        code.end();
        body
    })
}

fn with_code(count: u32, body: impl Fn(u32) -> Function) -> Module {
    let mut module = announcing(count, NUMBER);
    module.section(&code(count, body));
    module
}

/// A module that announces so many functions of one type.
fn announcing(count: u32, kind: u32) -> Module {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    types.ty().function([], [ValType::I64]);
    let mut functions = FunctionSection::new();
    (0..count).for_each(|_| {
        functions.function(kind);
    });
    let mut module = Module::new();
    module.section(&types).section(&functions);
    module
}

fn code(count: u32, body: impl Fn(u32) -> Function) -> CodeSection {
    let mut code = CodeSection::new();
    (0..count).for_each(|number| {
        code.function(&body(number));
    });
    code
}

fn export_handler(component: &mut Component) {
    let mut instances = ComponentInstanceSection::new();
    instances.export_items(std::iter::empty::<(&str, ComponentExportKind, u32)>());
    component.section(&instances);
    let mut exports = ComponentExportSection::new();
    exports.export(HANDLER, ComponentExportKind::Instance, 0, None);
    component.section(&exports);
}
