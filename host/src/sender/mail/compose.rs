//! Makes the message: headers that cannot be broken out of, bodies that cannot end the mail. Pure.

use std::str::FromStr;

use lettre::Message;
use lettre::message::header::{ContentTransferEncoding, ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, MultiPart, SinglePart};

use super::super::text;
use super::{Mail, Refused};
use crate::limits;

/// `Auto-Submitted`: tells vacation responders not to answer.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// Builds the message of a mail.
pub(super) fn message(mail: &Mail) -> Result<Message, Refused> {
    let recipients = mail.to.len() + mail.cc.len();
    if recipients == 0 || recipients > limits::MAIL_RECIPIENTS {
        return Err(invalid(format!("a mail has 1 to {} recipients, not {recipients}", limits::MAIL_RECIPIENTS)));
    }
    let mut builder = Message::builder()
        .from(mailbox(&mail.from)?)
        .message_id(Some(message_id(&mail.message_id)?))
        .subject(subject(&mail.subject))
        .header(AutoSubmitted);
    for to in &mail.to {
        builder = builder.to(mailbox(to)?);
    }
    for cc in &mail.cc {
        builder = builder.cc(mailbox(cc)?);
    }
    if let Some(reply_to) = &mail.reply_to {
        builder = builder.reply_to(mailbox(reply_to)?);
    }
    if let Some(id) = &mail.in_reply_to {
        builder = builder.in_reply_to(message_id(id)?);
    }
    if !mail.references.is_empty() {
        let ids = mail.references.iter().map(|id| message_id(id)).collect::<Result<Vec<_>, _>>()?;
        builder = builder.references(ids.join(" "));
    }
    let built = match (&mail.text, &mail.html) {
        (Some(plain), Some(html)) => {
            builder.multipart(MultiPart::alternative().singlepart(part(plain, false)?).singlepart(part(html, true)?))
        }
        (Some(plain), None) => builder.singlepart(part(plain, false)?),
        (None, Some(html)) => builder.singlepart(part(html, true)?),
        (None, None) => return Err(invalid("a mail has a text or html".to_owned())),
    };
    built.map_err(|error| invalid(error.to_string()))
}

fn invalid(reason: String) -> Refused {
    Refused::Invalid(reason)
}

fn mailbox(address: &str) -> Result<Mailbox, Refused> {
    let clean = text::line(address, limits::WORD_BYTES);
    let mailbox = Mailbox::from_str(&clean).map_err(|error| invalid(format!("`{clean}` is no address: {error}")))?;
    // A name with encoded words in it would be decoded by the reader's program into whatever it spells.
    let name = mailbox.name.map(|name| plain_words(&name));
    Ok(Mailbox::new(name, mailbox.email))
}

fn message_id(id: &str) -> Result<String, Refused> {
    let inner = id.strip_prefix('<').and_then(|id| id.strip_suffix('>')).unwrap_or_default();
    let allowed = |c: char| c.is_ascii_graphic() && !"<>()[]\\,;:\"".contains(c);
    let sides = inner.split_once('@');
    let valid = sides.is_some_and(|(left, right)| !left.is_empty() && !right.is_empty() && !right.contains('@'));
    if valid && inner.chars().all(allowed) && inner.len() <= 250 {
        Ok(id.to_owned())
    } else {
        Err(invalid(format!("`{}` is no message id like <id@domain>", text::line(id, limits::PLUGIN_WORD_CHARS))))
    }
}

fn subject(subject: &str) -> String {
    plain_words(&text::line(subject, limits::WORD_BYTES))
}

/// Breaks the beginning of every encoded word (`=?utf-8?…`), so that what is shown is what was written.
fn plain_words(text: &str) -> String {
    text.replace("=?", "= ?")
}

/// Quoted-printable whatever is in it: no line of the body can then be a lone dot or longer than SMTP allows.
fn part(content: &str, html: bool) -> Result<SinglePart, Refused> {
    let lines = content.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n");
    let body = Body::new_with_encoding(lines, ContentTransferEncoding::QuotedPrintable)
        .map_err(|_the_text| invalid("the text cannot be encoded".to_owned()))?;
    let kind = if html { ContentType::TEXT_HTML } else { ContentType::TEXT_PLAIN };
    Ok(SinglePart::builder().header(kind).body(body))
}
