//! A visit of a browser that comes with a request for an authorization: what its pages have in common.

use hostel_sdk::database::Transaction;
use hostel_sdk::{Request, Response, Result, time};

use crate::accounts::{Session, SignedIn};
use crate::config::{Clients, Issuer};
use crate::keys::Vault;
use crate::protocol::{AuthorizationRequest, Failure, Fault, Grant, OauthError, Parameters};
use crate::web::{Cookie, FormGuard, Page, see_other, views};

/// What is said of a form that was not made here, or long ago.
pub const STALE: &str = "This form has expired. Please try again.";

/// One visit.
pub struct Visit<'r> {
    pub request: &'r Request,
    pub issuer: Issuer,
    pub asked: AuthorizationRequest,
    pub now_ms: i64,
    vault: Vault,
}

/// The two forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    SignIn,
    SignUp,
}

/// What a form shows again of what was typed; never the password.
#[derive(Debug, Clone, Copy, Default)]
pub struct Typed<'a> {
    pub email: &'a str,
    pub name: &'a str,
}

impl<'r> Visit<'r> {
    /// Reads the request.
    ///
    /// # Errors
    /// With the answer for the browser when it is refused.
    pub fn begin(request: &'r Request) -> Result<Self, Failure> {
        let issuer = Issuer::read()?;
        let vault = Vault::read()?;
        match AuthorizationRequest::read(request, &Clients::read()?) {
            Ok(asked) => Ok(Self { request, issuer, asked, now_ms: time::now_ms(), vault }),
            Err(fault) => Err(Failure::Answer(refuse(&issuer, &fault))),
        }
    }

    /// A form, empty or with what was wrong with it.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub fn page(&self, form: Form, status: u16, fault: Option<&str>, typed: Typed<'_>) -> Result<Response> {
        let stamped = self.guard().stamp(&self.action(form))?;
        let view = views::Form {
            base: self.issuer.path(),
            client: &self.asked.client.name,
            query: self.asked.query(),
            token: &stamped.token,
            fault,
            email: typed.email,
            name: typed.name,
        };
        let content = match form {
            Form::SignIn => views::sign_in(view),
            Form::SignUp => views::sign_up(view),
        };
        let leads_to = Some(self.asked.destination.redirect_uri.clone());
        Ok(Page { status, content, leads_to, cookie: stamped.cookie }.into())
    }

    /// The same form after too many tries.
    ///
    /// # Errors
    /// As [`Self::page`].
    pub fn wait(&self, form: Form, seconds: i64, typed: Typed<'_>) -> Result<Response> {
        let fault = format!("Too many tries. Please wait {seconds} s, then try again.");
        Ok(self.page(form, 429, Some(&fault), typed)?.header("retry-after", &seconds.to_string()))
    }

    /// Whether what was sent is this form, made here for this browser.
    ///
    /// # Errors
    /// Those of the vault.
    pub fn is_own(&self, form: Form, sent: &Parameters) -> Result<bool> {
        self.guard().accepts(&self.action(form), sent.get("form"))
    }

    /// The keys under the operator's secret.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Signs the user in, gives the client its code, and commits: all of it or nothing.
    ///
    /// # Errors
    /// Those of the database.
    pub fn sign_in(&self, transaction: Transaction, user_id: String) -> Result<Response> {
        let signed_in = SignedIn { user_id, authenticated_ms: self.now_ms };
        let before = Cookie::Session.of(self.request, &self.issuer);
        let session = Session::begin(&transaction, &signed_in, before)?;
        let response = self.go_on(transaction, &signed_in)?;
        Ok(response.header("set-cookie", &Cookie::Session.set(&self.issuer, &session)))
    }

    /// Gives the client a code for a user who is signed in, and commits.
    ///
    /// # Errors
    /// Those of the database.
    pub fn go_on(&self, transaction: Transaction, signed_in: &SignedIn) -> Result<Response> {
        let code = Grant::begin(&transaction, &self.asked, signed_in, time::now_ms())?;
        transaction.commit()?;
        Ok(see_other(&self.asked.destination.with(&self.issuer, &[("code", &code)])))
    }

    /// Tells the client why there is no code.
    pub fn refuse(&self, error: &OauthError) -> Response {
        see_other(&self.asked.destination.refusal(&self.issuer, error))
    }

    fn guard(&self) -> FormGuard<'_> {
        FormGuard::new(self.request, &self.issuer, &self.vault, self.now_ms)
    }

    fn action(&self, form: Form) -> String {
        let name = match form {
            Form::SignIn => "sign-in",
            Form::SignUp => "sign-up",
        };
        format!("{name}?{}", self.asked.query())
    }
}

fn refuse(issuer: &Issuer, fault: &Fault) -> Response {
    match fault {
        Fault::Untrusted(reason) => {
            let text = format!("{reason} Go back to where you came from and try again.");
            let content = views::message(issuer.path(), "This link does not work", &text);
            Page { status: 400, content, leads_to: None, cookie: None }.into()
        }
        Fault::Refused(destination, error) => see_other(&destination.refusal(issuer, error)),
    }
}
