//! `/sign-up`: makes a user, and goes on with the request that it came with.

use hostel_sdk::{Request, Response, Result, database};

use super::visit::{Form, STALE, Typed, Visit};
use crate::accounts::{Admission, Password, Registration, Throttle, User, address_of};
use crate::protocol::{Failure, Parameters, settle};

/// Said plainly: a sign-up shows it anyway. Tries are counted, so that nobody can ask for a list of addresses.
const TAKEN: &str = "There is an account with this e-mail already. Sign in instead.";

/// `GET`: shows the form.
pub fn show(request: &Request) -> Result<Response> {
    let show = |visit: Visit<'_>| Ok(visit.page(Form::SignUp, 200, None, Typed::default())?);
    settle(Visit::begin(request).and_then(show))
}

/// `POST`: the form was sent.
pub fn submit(request: &Request) -> Result<Response> {
    settle(try_submit(request))
}

fn try_submit(request: &Request) -> Result<Response, Failure> {
    let form = Parameters::of_form(request)?;
    let visit = Visit::begin(request)?;
    let text = |name: &str| form.get(name).unwrap_or_default();
    let typed = Typed { email: text("email"), name: text("name") };
    if !visit.is_own(Form::SignUp, &form)? {
        return Ok(visit.page(Form::SignUp, 403, Some(STALE), typed)?);
    }
    let checked = Registration::new(typed.email, typed.name)
        .and_then(|registration| Ok((registration, Password::new(text("password"))?)));
    let (registration, password) = match checked {
        Ok(checked) => checked,
        Err(fault) => return Ok(visit.page(Form::SignUp, 422, Some(&fault), typed)?),
    };
    let throttle = Throttle::sign_up(&address_of(request));
    if let Admission::Wait(seconds) = Throttle::admit(&[throttle], visit.now_ms)? {
        return Ok(visit.wait(Form::SignUp, seconds, typed)?);
    }
    let hash = password.hash()?;
    // User, session and code are one transaction: a crash leaves all of them or none.
    let transaction = database::begin()?;
    match User::add(&transaction, registration, &hash, visit.now_ms)? {
        Some(user) => Ok(visit.sign_in(transaction, user.id)?),
        None => {
            transaction.rollback()?;
            Ok(visit.page(Form::SignUp, 409, Some(TAKEN), typed)?)
        }
    }
}
