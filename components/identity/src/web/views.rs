//! The HTML of the pages. Whatever stands in it is escaped.

use maud::{DOCTYPE, Markup, html};

use super::form_guard::FIELD;

/// What a form shows.
#[derive(Debug, Clone, Copy)]
pub struct Form<'a> {
    /// The path of the provider.
    pub base: &'a str,
    /// Whom the user signs in for.
    pub client: &'a str,
    /// The request that goes on afterwards, as a query.
    pub query: &'a str,
    /// The hidden field that proves where it was made.
    pub token: &'a str,
    /// What was wrong with it before.
    pub fault: Option<&'a str>,
    pub email: &'a str,
    pub name: &'a str,
}

/// The page to sign in.
pub fn sign_in(form: Form<'_>) -> Markup {
    let other = format!("{}/sign-up?{}", form.base, form.query);
    let content = html! {
        h1 { "Sign in" }
        p.lead { "to go on to " strong { (form.client) } }
        (fault(form.fault))
        form method="post" action={ (form.base) "/authorize?" (form.query) } {
            (hidden(form.token))
            (email(form, "username"))
            (password("current-password", "Password", None))
            button.button type="submit" { "Sign in" }
        }
        p.other { "New here? " a href=(other) { "Create an account" } }
    };
    layout(form.base, "Sign in", &content)
}

/// The page to become a user.
pub fn sign_up(form: Form<'_>) -> Markup {
    let other = format!("{}/authorize?{}", form.base, form.query);
    let content = html! {
        h1 { "Create an account" }
        p.lead { "to go on to " strong { (form.client) } }
        (fault(form.fault))
        form method="post" action={ (form.base) "/sign-up?" (form.query) } {
            (hidden(form.token))
            label for="name" { "Name" }
            input id="name" name="name" type="text" autocomplete="name" maxlength="200" required value=(form.name);
            (email(form, "email"))
            (password("new-password", "Password", Some("8 to 128 characters. A few words are easy to keep in mind.")))
            button.button type="submit" { "Create account" }
        }
        p.other { "Known here already? " a href=(other) { "Sign in" } }
    };
    layout(form.base, "Create an account", &content)
}

/// The page that asks before it signs out.
pub fn sign_out(base: &str, query: &str, token: &str) -> Markup {
    let content = html! {
        h1 { "Sign out?" }
        p.lead { "You will have to sign in again to use what you were signed in for." }
        form method="post" action={ (base) "/end-session?" (query) } {
            (hidden(token))
            button.button type="submit" { "Sign out" }
        }
    };
    layout(base, "Sign out", &content)
}

/// A page that only says something.
pub fn message(base: &str, title: &str, text: &str) -> Markup {
    let content = html! {
        h1 { (title) }
        p.lead { (text) }
    };
    layout(base, title, &content)
}

fn layout(base: &str, title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (title) " – Hostel" }
                link rel="stylesheet" href={ (base) "/style.css" };
            }
            body {
                main.card {
                    p.brand { (mark()) span { "Hostel" } }
                    (content)
                }
            }
        }
    }
}

/// The mark of the shop.
fn mark() -> Markup {
    html! {
        svg.brand-mark viewBox="0 0 32 32" aria-hidden="true" {
            rect.brand-plate width="32" height="32" rx="8" {}
            path.brand-roof d="M6 15.5 16 7l10 8.5" {}
            path.brand-bed d="M9 25V15.5M9 21.5h14M23 25v-4.5a3 3 0 0 0-3-3h-6.5v4" {}
        }
    }
}

fn fault(text: Option<&str>) -> Markup {
    html! {
        @if let Some(text) = text {
            p #fault .notice role="alert" { (text) }
        }
    }
}

fn hidden(token: &str) -> Markup {
    html! { input type="hidden" name=(FIELD) value=(token); }
}

fn email(form: Form<'_>, autocomplete: &str) -> Markup {
    html! {
        label for="email" { "E-mail" }
        input id="email" name="email" type="email" inputmode="email" autocomplete=(autocomplete) autocapitalize="none"
            spellcheck="false" maxlength="254" required value=(form.email)
            aria-describedby=[form.fault.map(|_| "fault")];
    }
}

fn password(autocomplete: &str, label: &str, hint: Option<&str>) -> Markup {
    html! {
        label for="password" { (label) }
        // The bounds are checked by the provider: a browser would count otherwise, and say less.
        input id="password" name="password" type="password" autocomplete=(autocomplete) required
            aria-describedby=[hint.map(|_| "password-hint")];
        @if let Some(hint) = hint {
            p #password-hint .hint { (hint) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_typed_is_no_markup() {
        let form = Form {
            base: "/identity",
            client: "<b>Shop</b>",
            query: "a=1&b=\"",
            token: "t",
            fault: Some("<script>"),
            email: "\"><script>alert(1)</script>",
            name: "",
        };
        for html in [sign_in(form).into_string(), sign_up(form).into_string()] {
            assert!(!html.contains("<script") && !html.contains("<b>"), "{html}");
            assert!(html.contains("?a=1&amp;b=&quot;"), "{html}");
        }
    }
}
