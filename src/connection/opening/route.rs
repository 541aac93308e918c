//! Which way leads to the server: straight, or through a proxy that the program or the environment names.
//!
//! In scope: the choice. Out of scope: going there.

use crate::error::{Error, Phase, Result, Status};
use crate::options::{Options, Secret};
use crate::protocol::Url;
use crate::transport::proxy::{Bypass, Proxy};

/// The proxy for this URL, if there is one. `environment` reads a variable, and is asked only if the program allows it.
pub(super) fn proxy_for(url: &Url, options: &Options, environment: fn(&str) -> Option<String>) -> Result<Option<Proxy>> {
    if url.socket_path().is_some() {
        return Ok(None);
    }
    if let Some(Secret(text)) = &options.proxy {
        return parse(text, "WS_OPTION_PROXY").map(Some);
    }
    if !options.proxy_environment {
        return Ok(None);
    }
    // HTTP_PROXY is left out: in a CGI program it is the request's header "Proxy", which anybody can send.
    let names: &[&str] = match url.is_secure() {
        true => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        false => &["http_proxy", "all_proxy", "ALL_PROXY"],
    };
    let Some((name, text)) = names.iter().find_map(|name| Some((*name, environment(name)?))) else { return Ok(None) };
    let exceptions = ["no_proxy", "NO_PROXY"].iter().find_map(|name| environment(name)).unwrap_or_default();
    if text.trim().is_empty() || Bypass::parse(&exceptions).has(url.host(), url.port()) {
        return Ok(None);
    }
    parse(&text, name).map(Some)
}

fn parse(text: &str, whence: &str) -> Result<Proxy> {
    Proxy::parse(text).map_err(|error| Error::new(Status::Proxy, format!("{whence}: {error}")).in_phase(Phase::Proxy))
}

#[cfg(test)]
#[allow(clippy::field_reassign_with_default)] // the models compile this where options cannot be built in one
mod tests {
    use super::*;

    fn chosen(url: &str, proxy: Option<&str>, asks: bool, environment: fn(&str) -> Option<String>) -> String {
        let mut options = Options::default();
        options.proxy = proxy.map(|text| Secret(text.into()));
        options.proxy_environment = asks;
        match proxy_for(&Url::parse(url).unwrap(), &options, environment) {
            Ok(proxy) => proxy.map_or("straight".into(), |proxy| proxy.to_string()),
            Err(error) => error.to_string(),
        }
    }

    fn all(name: &str) -> Option<String> {
        let value = match name {
            "http_proxy" => "http://plain:1",
            "HTTP_PROXY" => "http://never:1",
            "HTTPS_PROXY" => "secure:2",
            "all_proxy" => "socks5://any:3",
            "no_proxy" => "localhost, .example.com:80",
            "NO_PROXY" => "*",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn the_program_comes_first_and_the_environment_only_if_asked() {
        assert_eq!(chosen("ws://h/", None, false, |_| panic!("the environment is not read")), "straight");
        assert_eq!(chosen("ws://h/", Some("socks5://own"), true, |_| panic!("the environment is not read")), "socks5://own:1080");
        assert_eq!(chosen("ws+unix:/s:/", Some("http://own:1"), true, all), "straight");
        assert_eq!(chosen("ws://h/", None, true, all), "http://plain:1");
        assert_eq!(chosen("wss://h/", None, true, all), "http://secure:2");
        assert_eq!(chosen("ws://localhost/", None, true, all), "straight");
        assert_eq!(chosen("ws://a.example.com/", None, true, all), "straight");
        assert_eq!(chosen("wss://a.example.com/", None, true, all), "http://secure:2");
        assert_eq!(chosen("ws://h/", None, true, |_| None), "straight");
        assert_eq!(chosen("wss://h/", None, true, |name| (name == "ALL_PROXY").then(|| "any:3".into())), "http://any:3");
        assert_eq!(chosen("ws://h/", None, true, |name| (name == "HTTP_PROXY").then(|| "never:1".into())), "straight");
        assert_eq!(chosen("ws://h/", None, true, |name| if name == "http_proxy" { Some(" ".into()) } else { all(name) }), "straight");
        let wrong = chosen("ws://h/", None, true, |name| (name == "http_proxy").then(|| "gopher://user:secret@h".into()));
        assert_eq!(wrong, "http_proxy: the proxy's scheme is neither http:// nor socks5://");
    }
}
