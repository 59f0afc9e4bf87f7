//! `smtp = { … }` of a sender: the server that its mail goes to.

use url::Url;

use super::log::choice;
use super::typed::{Section, Value};
use super::{Smtp, Tls};

/// TLS from the first byte.
const SMTPS_PORT: u16 = 465;
/// Where users hand in mail.
const SUBMISSION_PORT: u16 = 587;
/// Where servers talk to each other.
const SMTP_PORT: u16 = 25;

/// What the table `smtp` says.
pub(super) fn read(section: &mut Section<'_>) -> Option<Smtp> {
    let value = section.take("smtp")?;
    value.section(&section.below("smtp"), |section| {
        let username = section.take("username").and_then(|value| value.filled("the name to log in with"));
        let tls = section.take("tls").and_then(|value| Some((tls(&value)?, value)));
        let url = section.require("url")?;
        let smtp = server(&url, username, tls.as_ref().map(|(tls, _)| *tls).unwrap_or_default())?;
        if let Some((Tls::None, value)) = tls
            && smtp.implicit_tls
        {
            value.wrong("`tls`: smtps is TLS, write smtp:// for a connection without it");
        }
        Some(smtp)
    })?
}

fn tls(value: &Value<'_>) -> Option<Tls> {
    choice(value, &["auto", "required", "none"], |word| match word {
        "auto" => Some(Tls::Auto),
        "required" => Some(Tls::Required),
        "none" => Some(Tls::None),
        _ => None,
    })
}

fn server(value: &Value<'_>, username: Option<&str>, tls: Tls) -> Option<Smtp> {
    let what = "a server like \"smtps://smtp.example.org:465\"";
    let typed = value.string(what)?;
    let url = Url::parse(typed).ok().filter(|url| matches!(url.scheme(), "smtp" | "smtps"));
    if url.as_ref().is_some_and(|url| !url.username().is_empty() || url.password().is_some()) {
        let message = "`url`: no user and password here, write `username` and `secrets.smtp_password`";
        value.file.wrong_hidden(&value.span(), message);
        return None;
    }
    let bare = |url: &Url| matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    let Some((url, host)) = url.filter(bare).and_then(|url| host(&url).map(|host| (url, host))) else {
        value.expected(what);
        return None;
    };
    let implicit_tls = url.scheme() == "smtps";
    let default = match (implicit_tls, username) {
        (true, _) => SMTPS_PORT,
        (false, Some(_)) => SUBMISSION_PORT,
        (false, None) => SMTP_PORT,
    };
    let port = url.port().unwrap_or(default);
    Some(Smtp { implicit_tls, host, port, username: username.map(str::to_owned), tls })
}

/// The host without the brackets that an IPv6 address has in a URL.
fn host(url: &Url) -> Option<String> {
    let host = url.host_str().filter(|host| !host.is_empty())?;
    Some(host.trim_start_matches('[').trim_end_matches(']').to_owned())
}
