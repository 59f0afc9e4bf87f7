//! Speaks SMTP to the sender's server, step by step, so that it is always known how far a mail came.

use std::sync::OnceLock;
use std::time::Duration;

use lettre::Address;
use lettre::address::Envelope;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};

use super::Refused;
use crate::config::{LiveSecret, Smtp, Tls};
use crate::limits;

/// How a connection comes to be encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encryption {
    /// From the first byte.
    Implicit,
    /// By STARTTLS, or not at all.
    Needed,
    /// By STARTTLS when the server offers it.
    WhenOffered,
    /// Never.
    Never,
}

/// A sender's mail settings.
pub(in crate::sender) struct Mailer {
    settings: Smtp,
    /// Name and password.
    login: Option<(String, Option<LiveSecret>)>,
    tls: OnceLock<TlsParameters>,
}

impl Mailer {
    /// A mailer for these settings; with a user name there must be a password.
    pub(in crate::sender) fn new(settings: &Smtp, password: Option<&LiveSecret>) -> Self {
        let login = settings.username.clone().map(|user| (user, password.cloned()));
        Self { settings: settings.clone(), login, tls: OnceLock::new() }
    }

    fn encryption(&self) -> Encryption {
        match (self.settings.tls, self.settings.implicit_tls) {
            (Tls::None, _) => Encryption::Never,
            (_, true) => Encryption::Implicit,
            (Tls::Required, false) => Encryption::Needed,
            (Tls::Auto, false) if self.login.is_some() => Encryption::Needed,
            (Tls::Auto, false) => Encryption::WhenOffered,
        }
    }

    fn tls(&self) -> Result<TlsParameters, Refused> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls.clone());
        }
        // Where plain text would do as well, an unknown certificate still is better than none: nothing secret is sent.
        let anyones = self.encryption() == Encryption::WhenOffered;
        let made = TlsParameters::builder(self.settings.host.clone()).dangerous_accept_invalid_certs(anyones).build();
        let made = made.map_err(|error| Refused::Later(format!("no secure connection: {}", words(&error))))?;
        Ok(self.tls.get_or_init(|| made).clone())
    }

    /// Hands the message over; returns the recipients that the server did not take while it took others.
    pub(super) async fn send(&self, envelope: &Envelope, message: &[u8]) -> Result<Vec<String>, Refused> {
        let mut connection = self.connect().await?;
        let sent = transfer(&mut connection, envelope, message).await;
        match &sent {
            // The mail is over already; a server that forgets to say goodbye changes nothing.
            Ok(_) => drop(connection.quit().await),
            Err(_) => connection.abort().await,
        }
        sent
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Refused> {
        let name = ClientId::default();
        let server = (self.settings.host.as_str(), self.settings.port);
        let timeout = Some(Duration::from_secs(limits::CONNECT_SECONDS));
        let encryption = self.encryption();
        let tls = if encryption == Encryption::Implicit { Some(self.tls()?) } else { None };
        let away = |error: Error| Refused::Later(format!("no connection to {}: {}", self.settings.host, words(&error)));
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, timeout, &name, tls, None).await.map_err(away)?;
        let offered = connection.can_starttls();
        if encryption == Encryption::Needed && !offered {
            connection.abort().await;
            return Err(Refused::Later(format!(
                "{} does not offer STARTTLS; tls = \"none\" would do without",
                self.settings.host
            )));
        }
        if offered && matches!(encryption, Encryption::Needed | Encryption::WhenOffered) {
            connection.starttls(self.tls()?, &name).await.map_err(away)?;
        }
        if let Some((user, password)) = &self.login {
            let password = password.as_ref().map(|password| password.value().0).unwrap_or_default();
            let login = Credentials::new(user.clone(), password);
            connection.auth(DEFAULT_MECHANISMS, &login).await.map_err(|error| refused_login(&error))?;
        }
        Ok(connection)
    }
}

/// Envelope, then content. From the moment the content is on its way, silence means that nobody knows.
async fn transfer(
    connection: &mut AsyncSmtpConnection,
    envelope: &Envelope,
    message: &[u8],
) -> Result<Vec<String>, Refused> {
    let mut parameters = Vec::new();
    let needs_utf8 = envelope.from().into_iter().chain(envelope.to()).any(|address| !is_ascii(address));
    if needs_utf8 {
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Err(Refused::Never("the server does not take addresses beyond ASCII".to_owned()));
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    let from = Mail::new(envelope.from().cloned(), parameters);
    connection.command(from).await.map_err(|error| refused(&error))?;
    let rejected = recipients(connection, envelope.to()).await?;
    connection.command(Data).await.map_err(|error| refused(&error))?;
    connection.message(message).await.map_err(|error| match error.status() {
        Some(_) => refused(&error),
        None => Refused::Unknown(format!("broken off after the content was sent: {}", words(&error))),
    })?;
    Ok(rejected)
}

/// Names each recipient. Some may be refused for good; when all are, or one is refused for now, the mail waits.
async fn recipients(connection: &mut AsyncSmtpConnection, to: &[Address]) -> Result<Vec<String>, Refused> {
    let mut rejected = Vec::new();
    let mut last = None;
    for address in to {
        match connection.command(Rcpt::new(address.clone(), Vec::new())).await {
            Ok(_) => {}
            Err(error) if error.is_permanent() => {
                rejected.push(address.to_string());
                last = Some(refused(&error));
            }
            Err(error) => return Err(refused(&error)),
        }
    }
    match last {
        Some(last) if rejected.len() == to.len() => Err(last),
        _ => Ok(rejected),
    }
}

fn is_ascii(address: &Address) -> bool {
    address.to_string().is_ascii()
}

fn refused(error: &Error) -> Refused {
    if error.is_permanent() { Refused::Never(words(error)) } else { Refused::Later(words(error)) }
}

/// A login that is refused for now, or a connection that breaks, is not a wrong password.
fn refused_login(error: &Error) -> Refused {
    if error.is_permanent() || error.is_client() {
        // Its words may repeat what it was sent, encoded, and nobody can take the password out of that again.
        let status = error.status().map_or_else(String::new, |status| format!(" with {status}"));
        Refused::Login(format!("the server refused the login{status}: check smtp.username and secrets.smtp_password"))
    } else {
        Refused::Later(words(error))
    }
}

/// The whole chain of causes in one line.
fn words(error: &Error) -> String {
    let mut out = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        out = format!("{out}: {cause}");
        next = cause.source();
    }
    out
}
