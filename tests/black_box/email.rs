//! The e-mail sender against a real SMTP server.

use serde_json::json;

use super::support::{Certificate, Home, Mail, MailServer, Twist, classic};

const PASSWORD: &str = "smtp-canary-51c2";

/// Mails every message, by `smtp`, a table of settings.
fn home(smtp: &str) -> Home {
    let config = format!(
        "[route]\nmax_messages = 1\nsenders = [\"mail\"]\n[senders.mail]\nplugin = \"email\"\nrate = \"1000/s\"\n\
         smtp = {smtp}\nconfig = {{ from = \"mag <mag@example.org>\", to = [\"ops@example.org\"], \
         cc = [\"Bob <bob@example.org>\"], reply_to = \"desk@example.org\" }}\n"
    );
    Home::with(&config)
}

fn plain(server: &MailServer) -> Home {
    home(&format!("{{ url = \"smtp://127.0.0.1:{}\" }}", server.port()))
}

fn with_login(url: &str, certificate: &Certificate) -> Home {
    let home =
        home(&format!("{{ url = \"{url}\", username = \"mag\" }}\nsecrets.smtp_password = {{ env = \"PASSWORD\" }}"));
    let trusted = home.path("trusted.pem").display().to_string();
    home.file("trusted.pem", certificate.pem().as_bytes()).env("SSL_CERT_FILE", &trusted).env("PASSWORD", PASSWORD)
}

fn names(mail: &Mail) -> Vec<String> {
    mail.headers().into_iter().map(|(name, _)| name.to_lowercase()).collect()
}

#[test]
fn a_mail_has_subject_text_and_a_message_id_made_from_the_notification() {
    let server = MailServer::start();
    let mag = plain(&server).start();
    mag.takes(b"{\"text\":\"disk full\",\"count\":3,\"severity\":\"error\",\"kind\":\"backup\",\"labels\":{\"host\":\"db1\"}}\n");
    let mail = server.mail(1);
    assert_eq!(
        (mail.from.as_str(), mail.to.join(" ")),
        ("mag@example.org", "ops@example.org bob@example.org".to_owned())
    );
    assert!(!mail.encrypted && mail.login.is_none());
    for (name, value) in [
        ("subject", "disk full (3 times)"),
        ("from", "mag <mag@example.org>"),
        ("to", "ops@example.org"),
        ("cc", "Bob <bob@example.org>"),
        ("reply-to", "desk@example.org"),
        ("auto-submitted", "auto-generated"),
    ] {
        assert_eq!(mail.header(name), value, "{name}");
    }
    let text = mail.text();
    assert!(
        text.starts_with("Message \"disk full\" was repeated 3 time(s).\n  severity: error\n  kind: backup\n"),
        "{text}"
    );
    assert!(text.contains("\n  host: db1\n"), "{text}");
    let home = mag.stops();
    let delivery = home.store().only_delivery();
    assert_eq!(
        (delivery.state.as_str(), mail.header("message-id")),
        ("delivered", format!("<{}@example.org>", delivery.id))
    );
}

#[test]
fn a_login_goes_over_starttls_only() {
    let certificate = Certificate::new();
    let server = MailServer::with_starttls(&certificate, "mag", PASSWORD);
    let mag = with_login(&format!("smtp://localhost:{}", server.port()), &certificate).start();
    mag.takes(&classic(&["a"]));
    let mail = server.mail(1);
    assert_eq!((mail.encrypted, mail.login), (true, Some(("mag".to_owned(), PASSWORD.to_owned()))));
    mag.stops().must_show_nowhere(PASSWORD);
}

#[test]
fn smtps_is_encrypted_from_the_first_byte() {
    let certificate = Certificate::new();
    let server = MailServer::with_tls(&certificate, "mag", PASSWORD);
    let mag = with_login(&format!("smtps://127.0.0.1:{}", server.port()), &certificate).start();
    mag.takes(&classic(&["a"]));
    let mail = server.mail(1);
    assert_eq!((mail.encrypted, mail.login.is_some()), (true, true));
    mag.stops();
}

#[test]
fn a_certificate_that_nobody_vouches_for_gets_no_password() {
    let server = MailServer::with_tls(&Certificate::new(), "mag", PASSWORD);
    let mag = with_login(&format!("smtps://127.0.0.1:{}", server.port()), &Certificate::new()).start();
    mag.takes(&classic(&["a"]));
    let said = mag.says("will try again");
    assert!(said.contains("sender mail"), "{said}");
    let home = mag.stops();
    assert!(server.mails().is_empty());
    home.must_show_nowhere(PASSWORD);
    assert_eq!(home.store().only_delivery().state, "backoff");
}

#[test]
fn a_server_without_starttls_gets_no_password() {
    let server = MailServer::start();
    let mag = with_login(&format!("smtp://127.0.0.1:{}", server.port()), &Certificate::new()).start();
    mag.takes(&classic(&["a"]));
    mag.says("does not offer STARTTLS");
    mag.stops();
    assert!(server.mails().is_empty());
}

#[test]
fn a_wrong_password_needs_a_person_and_loses_nothing() {
    let certificate = Certificate::new();
    let server = MailServer::with_starttls(&certificate, "mag", "another one");
    let mag = with_login(&format!("smtp://localhost:{}", server.port()), &certificate).start();
    mag.takes(&classic(&["a"]));
    let said = mag.says("does not accept the login");
    assert!(said.contains("smtp-login") && said.contains("misconfigured"), "{said}");
    let home = mag.stops();
    assert_eq!(home.store().account("root", "mail").frozen, 1);
    home.must_show_nowhere(PASSWORD);
}

#[test]
fn a_server_that_says_later_is_tried_later_under_the_same_message_id() {
    let server = MailServer::start().twists_next(Twist::AtRecipient("451 4.7.1 greylisted, come back later"));
    let mag = plain(&server).start();
    mag.takes(&classic(&["a"]));
    let said = mag.says("will try again");
    assert!(said.contains("smtp-later") && said.contains("greylisted"), "{said}");
    let home = mag.stops();
    let delivery = home.store().only_delivery();
    assert_eq!((delivery.state.as_str(), delivery.code.as_deref()), ("backoff", Some("smtp-later")));
    home.store().let_the_waiting_be_over();
    let mag = home.start();
    assert_eq!(server.mail(1).header("message-id"), format!("<{}@example.org>", delivery.id));
    let home = mag.stops();
    assert_eq!((home.store().only_delivery().attempt, home.store().account("root", "mail").told), (2, 1));
}

#[test]
fn a_server_that_goes_away_after_the_content_gets_the_mail_again_under_the_same_message_id() {
    let server = MailServer::start().twists_next(Twist::GoneAfterContent);
    let mag = plain(&server).start();
    mag.takes(&classic(&["a"]));
    let (first, second) = (server.mail(1), server.mail(2));
    assert_eq!(second.header("message-id"), first.header("message-id"));
    assert!(mag.says("will try again").contains("smtp-broken-off"));
    let home = mag.stops();
    assert_eq!(home.store().only_delivery().state, "delivered");
}

#[test]
fn a_mail_that_is_refused_for_good_is_given_up_and_others_go_on() {
    for (twist, word) in [
        (Twist::AtMail("550 5.7.1 not from you"), "not from you"),
        (Twist::AtRecipient("550 5.1.1 no such user"), "no such user"),
        (Twist::AtContent("554 5.6.0 we do not like it"), "we do not like it"),
    ] {
        let server = MailServer::start().twists_next(twist.clone());
        let mag = plain(&server).start();
        mag.takes(&classic(&["a"]));
        assert!(mag.says("dead letters").contains("smtp-refused"));
        let before = server.mails().len();
        mag.takes(&classic(&["b"]));
        server.mail(before + 1);
        let home = mag.stops();
        let dead = &home.store().deliveries()[0];
        assert_eq!((dead.state.as_str(), dead.code.as_deref()), ("dead", Some("smtp-refused")), "{twist:?}");
        assert!(dead.error.as_ref().is_some_and(|error| error.contains(word)), "{dead:?}");
        assert_eq!((home.store().account("root", "mail").dead, home.store().account("root", "mail").told), (1, 1));
    }
}

#[test]
fn no_text_can_add_a_header_a_recipient_or_a_command() {
    let server = MailServer::start();
    let mag = plain(&server).start();
    mag.takes(&classic(&["harmless"]));
    let harmless = names(&server.mail(1));
    let poisons = [
        "a\r\nBcc: evil@example.net",
        "a\nBcc: evil@example.net\n\nbody",
        "a\rBcc: evil@example.net",
        "a\u{85}Bcc: evil@example.net",
        "a\u{2028}Bcc: evil@example.net",
        "a\u{0}b\u{b}c",
        "=?utf-8?q?=0D=0ABcc:_evil@example.net?=",
        "x\r\n.\r\nMAIL FROM:<evil@example.net>\r\nRCPT TO:<all@example.net>\r\nDATA",
        "x\n.\nQUIT",
        "grün 東京",
    ];
    for (number, poison) in (2..).zip(poisons) {
        let line = json!({ "text": poison, "kind": poison, "source": poison, "labels": { poison: poison } });
        mag.takes(format!("{line}\n").as_bytes());
        let mail = server.mail(number);
        assert_eq!(names(&mail), harmless, "{poison:?}");
        assert_eq!(mail.to, ["ops@example.org", "bob@example.org"], "{poison:?}");
        assert!(!mail.header("subject").contains("=?utf-8?q?=0D"), "{poison:?}");
        let text = mail.text();
        assert!(text.starts_with("Message \""), "{poison:?}: {text}");
        assert!(text.lines().all(|line| !line.starts_with("Bcc") && line != "."), "{poison:?}: {text}");
    }
    mag.stops();
    assert_eq!(server.mails().len(), poisons.len() + 1, "one mail each, nothing smuggled in behind one");
}

#[test]
fn a_digest_is_one_mail_with_a_paragraph_a_group() {
    let server = MailServer::start();
    let home = plain(&server);
    let config = std::fs::read_to_string(home.path("mag.toml")).expect("the config");
    home.configure(&config.replace("max_messages = 1\n", "time_limit = \"1s\"\n"));
    let mag = home.start();
    mag.takes(&classic(&["one", "two", "two"]));
    let mail = server.mail(1);
    assert_eq!(mail.header("subject"), "3 messages in 2 groups");
    let text = mail.text();
    let (two, one) = (text.find("Message \"two\" was repeated 2 time(s) for last "), text.find("Message \"one\""));
    assert!(two.is_some() && two < one, "{text}");
    mag.stops();
}
