//! A guest that posts the title of each notification to the URL `url` of its config, by `wasi:http`.

wit_bindgen::generate!({ path: "../../../../plugin-sdk/wit/1.0.0/sender.wit", world: "plugin" });

use exports::mag::sender::sender::Guest;
use mag::sender::types::{
    ConfigError, Delivered, Egress, Failure, FailureKind, Manifest, Markup, Notification, Overflow, Prepared,
};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{Fields, Method, OutgoingBody, OutgoingRequest, Scheme};

struct Post;

impl Guest for Post {
    fn describe() -> Manifest {
        Manifest {
            name: "post".to_owned(),
            version: "1.0.0".to_owned(),
            description: "Posts titles.".to_owned(),
            config_schema: "{}".to_owned(),
            secrets: Vec::new(),
            markup: Markup::None,
            updates_in_place: false,
            replies: false,
            max_groups: None,
            overflow: Overflow::Summarize,
            extra: "{}".to_owned(),
        }
    }

    fn validate(config: String) -> Result<Vec<Egress>, Vec<ConfigError>> {
        let Some((authority, _)) = target(&config) else {
            return Err(vec![ConfigError { pointer: "/url".to_owned(), message: "expected http://HOST/PATH".to_owned() }]);
        };
        let origin = format!("http://{authority}");
        Ok(vec![Egress { origin, methods: vec!["POST".to_owned()], why: "it is told there".to_owned() }])
    }

    fn prepare(_config: String) -> Result<Prepared, Failure> {
        Ok(Prepared { state: Vec::new(), valid_for_ms: None })
    }

    fn send(config: String, _state: Vec<u8>, n: Notification) -> Result<Delivered, Failure> {
        let (authority, path) = target(&config).ok_or_else(|| failure(FailureKind::Misconfigured, "no url", false))?;
        let id = ("idempotency-key".to_owned(), n.id.into_bytes());
        let length = ("content-length".to_owned(), n.title.len().to_string().into_bytes());
        let fields = Fields::from_list(&[id, length]).map_err(|_| failure(FailureKind::Permanent, "headers", false))?;
        let request = OutgoingRequest::new(fields);
        let set = request
            .set_method(&Method::Post)
            .and_then(|()| request.set_scheme(Some(&Scheme::Http)))
            .and_then(|()| request.set_authority(Some(authority)))
            .and_then(|()| request.set_path_with_query(Some(path)));
        set.map_err(|()| failure(FailureKind::Permanent, "request", false))?;
        let body = request.body().map_err(|()| failure(FailureKind::Permanent, "body", false))?;
        let answer = outgoing_handler::handle(request, None)
            .map_err(|error| failure(FailureKind::Retry, &format!("{error:?}"), false))?;
        if let Ok(stream) = body.write() {
            // Whether that was enough the answer says.
            stream.blocking_write_and_flush(n.title.as_bytes()).ok();
        }
        OutgoingBody::finish(body, None).ok();
        answer.subscribe().block();
        let response = answer.get().and_then(Result::ok).and_then(Result::ok);
        match response.map(|response| response.status()) {
            Some(200..=299) => Ok(Delivered { receipt: None, updated_in_place: false, extra: String::new() }),
            Some(status) => Err(failure(FailureKind::Retry, &format!("status {status}"), false)),
            None => Err(failure(FailureKind::Retry, "no answer", true)),
        }
    }
}

/// Authority and path of the URL in the config.
fn target(config: &str) -> Option<(&str, &str)> {
    let (_, after) = config.split_once("\"url\":\"http://")?;
    let (url, _) = after.split_once('"')?;
    let slash = url.find('/')?;
    Some(url.split_at(slash))
}

fn failure(kind: FailureKind, message: &str, maybe_delivered: bool) -> Failure {
    Failure {
        kind,
        code: "post".to_owned(),
        message: message.to_owned(),
        after_ms: None,
        maybe_delivered,
        progress: None,
        extra: String::new(),
    }
}

export!(Post);
