//! The guard around guest SQL: what a statement of a service may touch.
//!
//! SQLite asks it for every object that a statement names while the statement is compiled. The host's own
//! statements run on the same connection with the guard off.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use super::text::{HOST_TABLE_RULE, TRANSACTION_RULE, is_host_name};
use crate::backends::sqlite::lock;

/// Virtual tables that store all they have in the service's own file.
const MODULES: [&str; 5] = ["fts5", "fts5vocab", "rtree", "rtree_i32", "geopoly"];

/// Read by FTS5 and R*Tree themselves while they work; harmless, and as text refused before.
const PRAGMAS_OF_MODULES: [&str; 2] = ["data_version", "page_size"];

/// Functions that load code or take pointers to it.
const FUNCTIONS_REFUSED: [&str; 2] = ["load_extension", "fts3_tokenizer"];

const TEMP_RULE: &str = "temporary tables, views and triggers: connections are shared between calls";
const PRAGMA_RULE: &str = "PRAGMA, also as a function or a table: the host sets how the database works";
const ATTACH_RULE: &str = "ATTACH and DETACH: a service has one database";
const SYSTEM_TABLE_RULE: &str = "writing to tables named `sqlite_*`";

/// The guard of one connection.
#[derive(Clone)]
pub struct Guard(Arc<State>);

/// While it lives, what is compiled on the connection is guest SQL.
pub struct Guarded<'a>(&'a State);

#[derive(Default)]
struct State {
    on: AtomicBool,
    changes_schema: AtomicBool,
    refusal: Mutex<Option<String>>,
}

impl Guard {
    /// Puts a guard before a connection.
    pub fn install(connection: &Connection) -> rusqlite::Result<Self> {
        let state = Arc::new(State::default());
        let asked = state.clone();
        connection.authorizer(Some(move |context: AuthContext<'_>| asked.authorize(&context)))?;
        Ok(Self(state))
    }

    /// Guest SQL follows.
    pub fn enter(&self) -> Guarded<'_> {
        self.0.changes_schema.store(false, Ordering::Relaxed);
        *lock(&self.0.refusal) = None;
        self.0.on.store(true, Ordering::Relaxed);
        Guarded(&self.0)
    }
}

impl Guarded<'_> {
    /// The rule that the statement broke, if it did.
    pub fn refusal(&self) -> Option<String> {
        lock(&self.0.refusal).take()
    }

    /// Whether a statement compiled since then changes the schema.
    pub fn changes_schema(&self) -> bool {
        self.0.changes_schema.load(Ordering::Relaxed)
    }
}

impl Drop for Guarded<'_> {
    fn drop(&mut self) {
        self.0.on.store(false, Ordering::Relaxed);
    }
}

impl State {
    fn authorize(&self, context: &AuthContext<'_>) -> Authorization {
        if !self.on.load(Ordering::Relaxed) {
            return Authorization::Allow;
        }
        // `CREATE TABLE temp.x` comes without the word TEMP, and is told by its database alone.
        let in_temp = context.database_name == Some("temp") && creates(context.action);
        match if in_temp { Err(TEMP_RULE.into()) } else { self.rule(context.action) } {
            Ok(answer) => answer,
            Err(rule) => {
                lock(&self.refusal).get_or_insert(rule);
                Authorization::Deny
            }
        }
    }

    /// Whether the action is allowed, or the rule against it.
    fn rule(&self, action: AuthAction<'_>) -> Result<Authorization, String> {
        use AuthAction as A;
        match action {
            A::Select | A::Recursive | A::Reindex { .. } => {}
            A::Read { table_name, .. } => check_read(table_name)?,
            A::Insert { table_name } | A::Update { table_name, .. } | A::Delete { table_name } => {
                self.check_write(table_name)?;
            }
            A::Function { function_name } => check_function(function_name)?,
            A::CreateTable { table_name } | A::DropTable { table_name } => {
                self.check_schema(&[table_name])?
            }
            A::AlterTable { table_name, .. } => self.check_schema(&[table_name])?,
            A::CreateView { view_name } | A::DropView { view_name } => self.check_schema(&[view_name])?,
            A::CreateIndex { index_name, table_name } | A::DropIndex { index_name, table_name } => {
                self.check_schema(&[index_name, table_name])?;
            }
            A::CreateTrigger { trigger_name, table_name } | A::DropTrigger { trigger_name, table_name } => {
                self.check_schema(&[trigger_name, table_name])?;
            }
            A::CreateVtable { table_name, module_name } => {
                self.check_schema(&[table_name])?;
                check_module(module_name)?;
            }
            A::DropVtable { table_name, .. } => self.check_schema(&[table_name])?,
            // A plain ANALYZE goes over all tables; the host's own are left out.
            A::Analyze { table_name } if is_host_name(table_name) => return Ok(Authorization::Ignore),
            A::Analyze { table_name } => self.check_schema(&[table_name])?,
            A::Pragma { pragma_name, pragma_value: None } if contains(&PRAGMAS_OF_MODULES, pragma_name) => {}
            A::Pragma { .. } => return Err(PRAGMA_RULE.into()),
            A::Transaction { .. } | A::Savepoint { .. } => return Err(TRANSACTION_RULE.into()),
            A::Attach { .. } | A::Detach { .. } => return Err(ATTACH_RULE.into()),
            A::CreateTempIndex { .. }
            | A::CreateTempTable { .. }
            | A::CreateTempTrigger { .. }
            | A::CreateTempView { .. }
            | A::DropTempIndex { .. }
            | A::DropTempTable { .. }
            | A::DropTempTrigger { .. }
            | A::DropTempView { .. } => return Err(TEMP_RULE.into()),
            _ => return Err("this statement is not known to be harmless".into()),
        }
        Ok(Authorization::Allow)
    }

    fn check_schema(&self, names: &[&str]) -> Result<(), String> {
        self.changes_schema.store(true, Ordering::Relaxed);
        if names.iter().any(|name| is_host_name(name)) {
            return Err(HOST_TABLE_RULE.into());
        }
        Ok(())
    }

    /// SQLite itself writes to `sqlite_*` tables when the schema changes, and refuses to let anybody else
    /// write to the schema table; the others are refused here.
    fn check_write(&self, table: &str) -> Result<(), String> {
        if is_host_name(table) {
            return Err(HOST_TABLE_RULE.into());
        }
        let is_schema = contains(&["sqlite_master", "sqlite_schema", "sqlite_temp_master"], table);
        if starts_with(table, "sqlite_") && !is_schema && !self.changes_schema.load(Ordering::Relaxed) {
            return Err(SYSTEM_TABLE_RULE.into());
        }
        Ok(())
    }
}

fn creates(action: AuthAction<'_>) -> bool {
    matches!(
        action,
        AuthAction::CreateTable { .. }
            | AuthAction::CreateView { .. }
            | AuthAction::CreateIndex { .. }
            | AuthAction::CreateTrigger { .. }
            | AuthAction::CreateVtable { .. }
    )
}

fn check_read(table: &str) -> Result<(), String> {
    if is_host_name(table) {
        return Err(HOST_TABLE_RULE.into());
    }
    if starts_with(table, "pragma_") {
        return Err(PRAGMA_RULE.into());
    }
    if contains(&["dbstat", "sqlite_dbpage", "sqlite_stmt"], table) {
        return Err(format!("the table {table}: it shows the inside of the file"));
    }
    Ok(())
}

fn check_function(name: &str) -> Result<(), String> {
    if contains(&FUNCTIONS_REFUSED, name) {
        return Err(format!("the function {name}: no code is loaded into the database"));
    }
    Ok(())
}

fn check_module(module: &str) -> Result<(), String> {
    if contains(&MODULES, module) {
        return Ok(());
    }
    Err(format!("virtual tables of {module}: there are {}", MODULES.join(", ")))
}

fn contains(names: &[&str], name: &str) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

fn starts_with(name: &str, prefix: &str) -> bool {
    name.as_bytes().get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}
