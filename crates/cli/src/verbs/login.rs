//! `login` and `logout`: credentials for registries.

use std::io::{BufRead, Read};

use types::image::{AuthAnswer, RegistryAuth};

use super::Context;
use crate::{
    client::{self, Request},
    config,
    error::{Error, Result},
    flags::{Flag, Matches, switch, text},
    format::output,
    tty,
};

/// Flags of `login`.
pub(crate) const FLAGS: &[Flag] = &[
    text("password", "Password or Personal Access Token (PAT)").short('p'),
    switch(
        "password-stdin",
        "Take the Password or Personal Access Token (PAT) from stdin",
    ),
    text("username", "Username").short('u'),
];

/// `docker login`.
pub(crate) async fn login(context: &Context, m: Matches) -> Result {
    let (mut user, mut password) = (m.text("username"), m.text("password"));
    if !password.is_empty() {
        output::complain(
            "WARNING! Using --password via the CLI is insecure. Use --password-stdin.",
        );
    }
    if m.on("password-stdin") {
        if !password.is_empty() {
            return Err(Error::msg(
                "conflicting options: cannot specify both --password and --password-stdin",
            ));
        }
        if user.is_empty() {
            return Err(Error::msg(
                "the --password-stdin option requires --username to be set",
            ));
        }
        let mut given = String::new();
        let mut stdin = std::io::stdin().lock();
        stdin
            .read_to_string(&mut given)
            .map_err(|e| Error::stdio(&e))?;
        let line = given.strip_suffix('\n').unwrap_or(&given);
        line.strip_suffix('\r')
            .unwrap_or(line)
            .clone_into(&mut password);
    }
    let server = server(m.args.first().map(String::as_str));
    let stored = context.config.credentials().get(&server)?;
    if user.is_empty()
        && password.is_empty()
        && let Some(stored) = &stored
        && !stored.username.is_empty()
        && !stored.password.is_empty()
    {
        output::complain(&format!(
            "Authenticating with existing credentials... [Username: {}]",
            stored.username
        ));
        match check(context, &server, stored.clone()).await {
            Ok(status) => return output::line(&status),
            Err(Error::Client(client::Error::Daemon { status: 401, .. })) => {
                output::complain("Stored credentials invalid or expired");
            }
            Err(error) => output::complain(&format!("Login did not succeed, error: {error}")),
        }
    }
    let known = stored.map(|stored| stored.username).unwrap_or_default();
    if user.is_empty() || password.is_empty() {
        if !tty::is_terminal(std::io::stdin()) {
            return Err(Error::msg(
                "Error: Cannot perform an interactive login from a non TTY device",
            ));
        }
        if user.is_empty() {
            user = ask_name(&known)?;
        }
        if password.is_empty() {
            password = ask_secret().await?;
        }
    }
    let auth = RegistryAuth {
        username: user,
        password,
        ..RegistryAuth::default()
    };
    let status = check(context, &server, auth).await?;
    output::line(&status)
}

/// The name under which the registry's credentials are kept.
fn server(given: Option<&str>) -> String {
    match given {
        None | Some("") => config::HUB.to_owned(),
        Some(given) if given == config::HUB => given.to_owned(),
        Some(given) => config::server(config::hostname(given)).to_owned(),
    }
}

/// Has the registry check them, and keeps what is good from now on.
async fn check(context: &Context, server: &str, mut auth: RegistryAuth) -> Result<String> {
    server.clone_into(&mut auth.serveraddress);
    let answer: AuthAnswer = Request::post("/auth")
        .json(&auth)
        .decode(&context.client)
        .await?;
    if !answer.identity_token.is_empty() {
        auth.password.clear();
        auth.identitytoken = answer.identity_token;
    }
    let in_clear = context.config.credentials().store(server, &auth);
    let in_clear = in_clear.map_err(|e| Error::msg(format!("error saving credentials: {e}")))?;
    if in_clear {
        output::complain(&format!(
            "\nWARNING! Your credentials are stored unencrypted in '{}'.\n\
             Configure a credential helper to remove this warning. See\n\
             https://docs.docker.com/go/credential-store/\n",
            context.config.path().display()
        ));
    }
    Ok(answer.status)
}

fn ask_name(known: &str) -> Result<String> {
    output::print(&match known {
        "" => "Username: ".to_owned(),
        known => format!("Username ({known}): "),
    })?;
    let name = read_line()?;
    match (name.trim(), known) {
        ("", "") => Err(Error::msg("Error: Non-null Username Required")),
        ("", known) => Ok(known.to_owned()),
        (name, _) => Ok(name.to_owned()),
    }
}

async fn ask_secret() -> Result<String> {
    output::print("Password: ")?;
    // Signals are caught before it is hidden: they must find us where we can show it again.
    let secret = tty::until_ended(async {
        let _hidden = tty::Hidden::enter();
        // On a thread that nobody waits for.
        let (done, read) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || _ = done.send(read_line()));
        read.await
            .unwrap_or_else(|e| Err(Error::msg(e.to_string())))
    })
    .await;
    output::line("")?;
    let secret = secret?;
    if secret.is_empty() {
        return Err(Error::msg("Error: Password Required"));
    }
    Ok(secret)
}

fn read_line() -> Result<String> {
    let mut line = String::new();
    let mut stdin = std::io::stdin().lock();
    stdin.read_line(&mut line).map_err(|e| Error::stdio(&e))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// `docker logout`.
pub(crate) async fn logout(context: &Context, m: Matches) -> Result {
    let server = server(m.args.first().map(String::as_str));
    let mut names = vec![server.clone()];
    if server != config::HUB {
        // As older clients kept them.
        names.push(format!("http://{server}"));
        names.push(format!("https://{server}"));
        let given = m.args[0].clone();
        if !names.contains(&given) {
            names.push(given);
        }
    }
    output::line(&format!("Removing login credentials for {server}"))?;
    let credentials = context.config.credentials();
    let failures: Vec<_> = names
        .iter()
        .filter_map(|name| Some((name, credentials.erase(name).err()?)))
        .collect();
    // One that succeeds is enough: the others were other spellings.
    if failures.len() == names.len() {
        output::complain("WARNING: could not erase credentials:");
        for (name, why) in failures {
            output::complain(&format!("{name}: {why}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_known_by_their_hosts() {
        for (given, kept) in [
            (None, config::HUB),
            (Some("docker.io"), config::HUB),
            (Some("https://index.docker.io/v1/"), config::HUB),
            (Some("https://reg.example:5000/v2/"), "reg.example:5000"),
            (Some("reg.example"), "reg.example"),
        ] {
            assert_eq!(server(given), kept);
        }
    }
}
