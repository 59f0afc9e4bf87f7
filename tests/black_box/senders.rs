//! The senders for other people's services, each against a receiver that speaks the service's documented API and takes
//! nothing else: what is told, where the token stands, and how a living message is brought up to date.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::support::{Answer, Home, Mag, Receiver, Request, classic};

/// Long and strange enough to be searched for.
const TOKEN: &str = "canary-71c0d3f29ab4";
/// What every service would react to in its own way.
const TEXT: &str = "disk `full` @everyone <b>&</b>";
/// The same as it stands in code of a chat.
const CODE: &str = "`\"disk ˋfullˋ @everyone <b>&</b>\"`";

/// mag with one sender `out`, which keeps one message for each group up to date, or tells each anew.
fn mag(sender: &str, living: bool) -> Mag {
    let living = if living { "style = \"living\"\n" } else { "" };
    let config =
        format!("[route]\nmax_messages = 1\nsenders = [\"out\"]\n[senders.out]\nrate = \"100/s\"\n{living}{sender}");
    let mag = Home::with(&config).env("TOKEN", TOKEN).start();
    mag.says("sender out: ready");
    mag
}

/// Stops mag; its books must say that all of it was told.
#[track_caller]
fn all_told(mag: Mag, messages: i64) {
    let home = mag.stops();
    assert_eq!(home.store().account("root", "out").told, messages);
}

/// Answers what the service would, else 400, which no test expects.
fn service(rule: impl Fn(&str, &Request) -> Option<Answer> + Send + Sync + 'static) -> Receiver {
    Receiver::answering(move |request| {
        let called = format!("{} {}", request.method, request.target);
        rule(&called, request).unwrap_or_else(|| Answer::status(400))
    })
}

fn is_json(request: &Request) -> bool {
    request.header("content-type").is_some_and(|kind| kind.starts_with("application/json"))
}

#[test]
fn discord_gets_an_embed_that_is_edited_and_its_address_is_a_secret() {
    let discord = service(|called, request| {
        let mentions = request.json()["allowed_mentions"] == json!({ "parse": [] });
        let known = ["POST /api/webhooks/1/t?wait=true", "PATCH /api/webhooks/1/t/messages/99"].contains(&called);
        (known && mentions && is_json(request)).then(|| Answer::json(&json!({ "id": "99", "channel_id": "5" })))
    });
    let config = "[route]\nmax_messages = 1\n[senders.out]\nplugin = \"discord\"\nstyle = \"living\"\n\
                  secrets.url = { env = \"HOOK\" }\n";
    let mag = Home::with(config).env("HOOK", &discord.url("/api/webhooks/1/t")).start();
    mag.takes(&classic(&[TEXT]));
    let embed = |number: usize| discord.request(number).json()["embeds"][0].clone();
    assert_eq!(embed(1)["description"], json!(format!("Message {CODE} was repeated **1** time(s).")));
    mag.takes(&classic(&[TEXT]));
    assert!(embed(2)["description"].as_str().is_some_and(|text| text.contains("repeated **2** time(s)")));
    all_told(mag, 2);
}

#[test]
fn telegram_gets_html_that_is_edited_and_a_pause_is_kept() {
    let telegram = service(|called, request| {
        let sent = json!({ "ok": true, "result": { "message_id": 42 } });
        let body = request.json();
        let good = body["parse_mode"] == "HTML" && body["chat_id"] == "-1001" && is_json(request);
        let edit = called == format!("POST /bot{TOKEN}/editMessageText") && body["message_id"] == 42;
        (good && (edit || called == format!("POST /bot{TOKEN}/sendMessage"))).then(|| Answer::json(&sent))
    });
    let pause = json!({ "ok": false, "error_code": 429, "description": "Too Many Requests: retry after 1", "parameters": { "retry_after": 1 } });
    let telegram = telegram.answers_next(Answer::json(&pause).with_status(429));
    let api = telegram.url("");
    let mag = mag(
        &format!(
            "plugin = \"telegram\"\nconfig = {{ chat_id = -1001, api_url = \"{api}\" }}\nsecrets.token = {{ env = \"TOKEN\" }}\n"
        ),
        true,
    );
    mag.takes(&classic(&[TEXT]));
    let (first, second) = (telegram.request(1), telegram.request(2));
    assert!(second.after(&first).as_secs() >= 1);
    let code = "<code>&quot;disk `full` @everyone &lt;b&gt;&amp;&lt;/b&gt;&quot;</code>";
    assert_eq!(second.json()["text"], json!(format!("Message {code} was repeated <b>1</b> time(s).")));
    mag.takes(&classic(&[TEXT]));
    assert!(telegram.request(3).target.ends_with("/editMessageText"));
    all_told(mag, 2);
}

#[test]
fn ntfy_gets_json_and_an_update_by_its_id() {
    let ntfy = service(|called, request| {
        let bearer = request.header("authorization") == Some(&format!("Bearer {TOKEN}"));
        let good = called == "POST /" && bearer && request.json()["topic"] == "ops";
        good.then(|| Answer::json(&json!({ "id": "hwQ2YpKdmg", "event": "message" })))
    });
    let url = ntfy.url("");
    let sender = format!(
        "plugin = \"ntfy\"\nconfig = {{ topic = \"ops\", url = \"{url}\" }}\nsecrets.token = {{ env = \"TOKEN\" }}\n"
    );
    let mag = mag(&sender, true);
    mag.takes(&classic(&[TEXT]));
    let first = ntfy.request(1).json();
    assert_eq!((&first["title"], &first["sequence_id"]), (&json!(TEXT), &Value::Null));
    assert_eq!(first["message"], json!(format!("Message \"{TEXT}\" was repeated 1 time(s).")));
    mag.takes(&classic(&[TEXT]));
    assert_eq!(ntfy.request(2).json()["sequence_id"], "hwQ2YpKdmg");
    all_told(mag, 2);
}

#[test]
fn mattermost_gets_a_post_that_is_patched() {
    let mattermost = service(|called, request| {
        let bearer = request.header("authorization") == Some(&format!("Bearer {TOKEN}"));
        let body = request.json();
        let post = called == "POST /api/v4/posts" && body["channel_id"] == "abcdefghijklmnopqrstuvwxyz";
        let patch = called == "PUT /api/v4/posts/8xk4z1/patch" && body.as_object().is_some_and(|body| body.len() == 1);
        (bearer && (post || patch)).then(|| Answer::json(&json!({ "id": "8xk4z1" })).with_status(201))
    });
    let url = mattermost.url("");
    let config = format!("config = {{ url = \"{url}\", channel_id = \"abcdefghijklmnopqrstuvwxyz\" }}");
    let mag = mag(&format!("plugin = \"mattermost\"\n{config}\nsecrets.token = {{ env = \"TOKEN\" }}\n"), true);
    mag.takes(&classic(&[TEXT]));
    assert_eq!(mattermost.request(1).json()["message"], json!(format!("Message {CODE} was repeated **1** time(s).")));
    mag.takes(&classic(&[TEXT]));
    assert_eq!(mattermost.request(2).method, "PUT");
    all_told(mag, 2);
}

#[test]
fn rocket_chat_gets_a_message_that_is_updated() {
    let rocket = service(|called, request| {
        let known = request.header("x-auth-token") == Some(TOKEN) && request.header("x-user-id") == Some("u1");
        let body = request.json();
        let post = called == "POST /api/v1/chat.postMessage" && body["channel"] == "#ops";
        let update = called == "POST /api/v1/chat.update" && body["roomId"] == "GENERAL" && body["msgId"] == "m1";
        let message = json!({ "success": true, "message": { "_id": "m1", "rid": "GENERAL" } });
        (known && (post || update)).then(|| Answer::json(&message))
    });
    let url = rocket.url("");
    let config = format!("config = {{ url = \"{url}\", channel = \"#ops\", user_id = \"u1\" }}");
    let mag = mag(&format!("plugin = \"rocketchat\"\n{config}\nsecrets.token = {{ env = \"TOKEN\" }}\n"), true);
    mag.takes(&classic(&[TEXT]));
    let text = format!("Message {CODE} was repeated *1* time(s).").replace('@', "＠");
    assert_eq!(rocket.request(1).json()["text"], json!(text));
    mag.takes(&classic(&[TEXT]));
    assert!(rocket.request(2).target.ends_with("/chat.update"));
    all_told(mag, 2);
}

#[test]
fn matrix_gets_an_event_by_its_transaction_and_an_edit() {
    let matrix = service(|called, request| {
        let bearer = request.header("authorization") == Some(&format!("Bearer {TOKEN}"));
        let sent = called.starts_with("PUT /_matrix/client/v3/rooms/%21abc%3Aexample.org/send/m.room.message/");
        (bearer && sent && request.json()["m.mentions"] == json!({}))
            .then(|| Answer::json(&json!({ "event_id": "$e1" })))
    });
    let matrix = matrix.answers_next(Answer::status(502));
    let url = matrix.url("");
    let config = format!("config = {{ url = \"{url}\", room = \"!abc:example.org\" }}");
    let mag = mag(&format!("plugin = \"matrix\"\n{config}\nsecrets.token = {{ env = \"TOKEN\" }}\n"), true);
    mag.takes(&classic(&[TEXT]));
    let (first, second) = (matrix.request(1), matrix.request(2));
    assert_eq!(
        (&first.target, first.json()),
        (&second.target, second.json()),
        "a second attempt is the same transaction"
    );
    mag.takes(&classic(&[TEXT]));
    let edit = matrix.request(3);
    assert_ne!(edit.target, first.target);
    assert_eq!(edit.json()["m.relates_to"], json!({ "rel_type": "m.replace", "event_id": "$e1" }));
    all_told(mag, 2);
}

#[test]
fn teams_gets_an_adaptive_card_and_its_signature_is_a_secret() {
    let teams = service(|called, _| {
        (called == "POST /workflows/1/paths/invoke?api-version=1&sig=x").then(|| Answer::status(202))
    });
    let config = "[route]\nmax_messages = 1\n[senders.out]\nplugin = \"teams\"\nsecrets.url = { env = \"HOOK\" }\n";
    let mag = Home::with(config).env("HOOK", &teams.url("/workflows/1/paths/invoke?api-version=1&sig=x")).start();
    mag.takes(&classic(&[TEXT]));
    let body = teams.request(1).json();
    assert_eq!(body["attachments"][0]["contentType"], "application/vnd.microsoft.card.adaptive");
    let run = &body["attachments"][0]["content"]["body"][1]["inlines"][0];
    assert_eq!(run["text"], json!(format!("Message \"{TEXT}\" was repeated 1 time(s).")));
    all_told(mag, 1);
}

#[test]
fn google_chat_gets_a_card_in_the_groups_thread() {
    let google = service(|called, request| {
        let url = "POST /v1/spaces/1/messages?key=k&token=t&messageReplyOption=REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD";
        let thread = request.json()["thread"]["threadKey"].as_str().is_some_and(|key| key.len() == 16);
        (called == url && thread).then(|| Answer::json(&json!({ "name": "spaces/1/messages/2" })))
    });
    let config = "[route]\nmax_messages = 1\n[senders.out]\nplugin = \"googlechat\"\nconfig = { threads = true }\n\
                  secrets.url = { env = \"HOOK\" }\n";
    let mag = Home::with(config).env("HOOK", &google.url("/v1/spaces/1/messages?key=k&token=t")).start();
    mag.takes(&classic(&[TEXT]));
    assert_eq!(google.request(1).json()["cardsV2"][0]["card"]["header"]["title"], "1 message");
    all_told(mag, 1);
}

#[test]
fn opsgenie_gets_an_alert_under_the_groups_name() {
    let opsgenie = service(|called, request| {
        let key = request.header("authorization") == Some(&format!("GenieKey {TOKEN}"));
        let taken = json!({ "result": "Request will be processed", "took": 0.1, "requestId": "x" });
        (key && called == "POST /v2/alerts").then(|| Answer::json(&taken).with_status(202))
    });
    let url = opsgenie.url("/v2/alerts");
    let config = format!("config = {{ preset = \"opsgenie\", url = \"{url}\" }}");
    let mag = mag(&format!("plugin = \"webhook\"\n{config}\nsecrets.key = {{ env = \"TOKEN\" }}\n"), false);
    mag.takes(&classic(&[TEXT]));
    let alert = opsgenie.request(1).json();
    assert_eq!((&alert["message"], &alert["priority"]), (&json!(TEXT), &json!("P3")));
    assert!(alert["alias"].as_str().is_some_and(|alias| alias.len() == 20 && alias.starts_with("mag-")));
    all_told(mag, 1);
}

/// `bot@example.org` and `AC0123456789abcdef0123456789abcdef` with the token, as `Authorization: Basic` has them.
const BOT: &str = "Basic Ym90QGV4YW1wbGUub3JnOmNhbmFyeS03MWMwZDNmMjlhYjQ=";
const ACCOUNT: &str = "Basic QUMwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjpjYW5hcnktNzFjMGQzZjI5YWI0";

/// The fields of a form.
fn form(request: &Request) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(request.text().as_bytes()).into_owned().collect()
}

#[test]
fn pagerduty_gets_an_event_and_its_key_in_the_body() {
    let pagerduty = service(|called, request| {
        let event = request.json();
        let good = called == "POST /v2/enqueue" && event["routing_key"] == TOKEN && event["event_action"] == "trigger";
        let taken = json!({ "status": "success", "message": "Event processed", "dedup_key": event["dedup_key"] });
        good.then(|| Answer::json(&taken).with_status(202))
    });
    let url = pagerduty.url("");
    let key = "secrets.routing_key = { env = \"TOKEN\", in = [\"body\"] }";
    let mag = mag(&format!("plugin = \"pagerduty\"\nconfig = {{ api_url = \"{url}\" }}\n{key}\n"), false);
    mag.takes(&classic(&[TEXT, "another"]));
    let texts = [1, 2].map(|number| pagerduty.request(number).json()["payload"]["summary"].clone());
    assert!(texts.contains(&json!(TEXT)) && texts.contains(&json!("another")), "{texts:?}");
    all_told(mag, 2);
}

#[test]
fn pushover_gets_a_form_with_both_keys() {
    let pushover = service(|called, request| {
        let keys = request.text().starts_with(&format!("token={TOKEN}&user={TOKEN}&title="));
        (called == "POST /1/messages.json" && keys).then(|| Answer::json(&json!({ "status": 1, "request": "x" })))
    });
    let url = pushover.url("");
    let keys =
        "secrets.token = { env = \"TOKEN\", in = [\"body\"] }\nsecrets.user = { env = \"TOKEN\", in = [\"body\"] }";
    let mag = mag(&format!("plugin = \"pushover\"\nconfig = {{ api_url = \"{url}\" }}\n{keys}\n"), false);
    mag.takes(&classic(&[TEXT]));
    let fields = form(&pushover.request(1));
    assert_eq!(fields["message"], format!("Message \"{TEXT}\" was repeated 1 time(s)."));
    all_told(mag, 1);
}

#[test]
fn zulip_gets_a_form_from_its_bot_that_is_edited() {
    let zulip = service(|called, request| {
        let basic = request.header("authorization") == Some(BOT);
        let known = ["POST /api/v1/messages", "PATCH /api/v1/messages/42"].contains(&called);
        (basic && known).then(|| Answer::json(&json!({ "result": "success", "msg": "", "id": 42 })))
    });
    let url = zulip.url("");
    let config = format!("config = {{ url = \"{url}\", email = \"bot@example.org\", channel = \"ops\" }}");
    let mag = mag(&format!("plugin = \"zulip\"\n{config}\nsecrets.api_key = {{ env = \"TOKEN\" }}\n"), true);
    mag.takes(&classic(&[TEXT]));
    let fields = form(&zulip.request(1));
    assert_eq!((fields["to"].as_str(), fields["topic"].as_str()), ("ops", "out"));
    assert_eq!(fields["content"], format!("Message {CODE} was repeated **1** time(s)."));
    mag.takes(&classic(&[TEXT]));
    assert_eq!(zulip.request(2).method, "PATCH");
    all_told(mag, 2);
}

#[test]
fn twilio_tells_again_only_who_has_not_got_it() {
    const SID: &str = "AC0123456789abcdef0123456789abcdef";
    let twilio = service(|called, request| {
        let known = called == format!("POST /2010-04-01/Accounts/{SID}/Messages.json");
        let basic = request.header("authorization") == Some(ACCOUNT);
        (basic && known).then(|| Answer::json(&json!({ "sid": "SM1", "status": "queued" })).with_status(201))
    });
    let twilio = twilio.answers_next(Answer::status(500));
    let url = twilio.url("");
    let numbers = "from = \"+15005550006\", to = [\"+491510000001\", \"+491510000002\"]";
    let config = format!("config = {{ account_sid = \"{SID}\", {numbers}, api_url = \"{url}\" }}");
    let mag = mag(&format!("plugin = \"twilio\"\n{config}\nsecrets.auth_token = {{ env = \"TOKEN\" }}\n"), false);
    mag.takes(&classic(&[TEXT]));
    let to = [1, 2, 3].map(|number| form(&twilio.request(number))["To"].clone());
    assert_eq!(to, ["+491510000001", "+491510000002", "+491510000001"]);
    all_told(mag, 1);
}
