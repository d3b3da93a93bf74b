//! `create`, and the making of a container that `run` shares.

use types::container::{CreateRequest, CreateResponse};

use super::{Context, config, lenient::lenient, pull};
use crate::{
    client::Request,
    error::{Error, Result},
    flags::Matches,
    format::{names::Reference, output, quote},
};

/// `docker create`.
pub(crate) async fn create(context: &Context, m: Matches) -> Result {
    let request = prepare(context, &m).map_err(|e| as_run(e, 125))?;
    let id = make(context, &m, &request).await?;
    output::line(&id)
}

/// What the flags describe, after everything that can be checked here.
pub(crate) fn prepare(context: &Context, m: &Matches) -> Result<CreateRequest> {
    let pull = m.get("pull").unwrap_or("missing");
    if !matches!(pull, "always" | "missing" | "never") {
        return Err(Error::msg(format!(
            "invalid pull option: '{pull}': must be one of \"always\", \"missing\" or \"never\""
        )));
    }
    let mut request = config::request(m)?;
    let env = &mut request.config.env;
    context.config.add_proxies(context.client.host(), env);
    Ok(request)
}

/// Puts a failure into the form of `run`'s.
pub(crate) fn as_run(error: Error, code: u8) -> Error {
    match error {
        Error::Message(text) => Error::Run { text, code },
        Error::Client(e) => Error::Run {
            text: e.to_string(),
            code,
        },
        other => other,
    }
}

/// Makes the container, pulling its image if need be; answers its identifier.
pub(crate) async fn make(
    context: &Context,
    m: &Matches,
    request: &CreateRequest,
) -> Result<String> {
    let image = &request.config.image;
    let is_id = image.len() == 64 && image.bytes().all(|b| b.is_ascii_hexdigit());
    let reference = if is_id || image.starts_with("sha256:") {
        None
    } else {
        Some(Reference::parse(image).map_err(Error::msg)?)
    };
    let cidfile = m.text("cidfile");
    if !cidfile.is_empty() && std::fs::exists(&cidfile).unwrap_or(false) {
        return Err(Error::msg(format!(
            "container ID file found, make sure the other container isn't running or delete {cidfile}"
        )));
    }
    let when = m.get("pull").unwrap_or("missing");
    if let (Some(reference), "always") = (&reference, when) {
        pull_for(context, m, reference).await?;
    }
    let send = async || {
        Request::post("/containers/create")
            .query_text("name", &m.text("name"))
            .query_text("platform", &m.text("platform"))
            .json(request)
            .decode::<serde_json::Value>(&context.client)
            .await
    };
    let answer = match (send().await, &reference) {
        (Err(e), Some(reference))
            if when == "missing"
                && e.is_not_found()
                && e.to_string().to_lowercase().contains("image") =>
        {
            if !m.on("quiet") {
                output::complain(&format!(
                    "Unable to find image '{}' locally",
                    reference.familiar()
                ));
            }
            pull_for(context, m, reference).await?;
            send().await?
        }
        (answer, _) => answer?,
    };
    let answer: CreateResponse = lenient(answer, "answer")?;
    for warning in &answer.warnings {
        output::complain(&format!("WARNING: {warning}"));
    }
    if !cidfile.is_empty() {
        std::fs::write(&cidfile, &answer.id).map_err(|e| {
            Error::msg(format!(
                "failed to create the container ID file: {}: {e}",
                quote(&cidfile)
            ))
        })?;
    }
    Ok(answer.id)
}

async fn pull_for(context: &Context, m: &Matches, reference: &Reference) -> Result {
    let show = if m.on("quiet") {
        pull::Show::Nothing
    } else {
        pull::Show::OnStderr
    };
    pull::fetch(context, reference, &m.text("platform"), show).await
}
