//! Notes: a database of its own, and the migration that makes its table.

use hostel_sdk::{Problem, Request, Response, Result, Router, database, params};
use serde::{Deserialize, Serialize};

hostel_sdk::service! {
    http: routes,
    // Applied in order at a deploy, each once. Never change one that was deployed: add the next.
    migrations: [include_str!("../migrations/001_notes.sql")],
}

/// A row of the table, a document of the API.
#[derive(Serialize, Deserialize)]
struct Note {
    id: String,
    text: String,
}

fn routes() -> Router {
    Router::new().post("/notes", write).get("/notes", list).get("/notes/{id}", show)
}

fn write(request: &Request) -> Result<Response> {
    let note: Note = request.json()?;
    if note.text.is_empty() {
        return Err(Problem::unprocessable("A note has a text.").into());
    }
    let sql = "INSERT INTO notes (id, text) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING";
    if database::execute(sql, params![&note.id, &note.text])? == 0 {
        return Err(Problem::conflict(format!("There is a note {} already.", note.id)).into());
    }
    Response::created(&format!("/notes/{}", note.id), &note)
}

fn list(_request: &Request) -> Result<Response> {
    let notes: Vec<Note> = database::query("SELECT id, text FROM notes ORDER BY id", params![])?;
    Response::ok(&notes)
}

fn show(request: &Request) -> Result<Response> {
    let id = request.parameter("id")?;
    let note: Option<Note> = database::query_first("SELECT id, text FROM notes WHERE id = $1", params![id])?;
    Response::ok(&note.ok_or_else(|| Problem::not_found(format!("There is no note {id}.")))?)
}
