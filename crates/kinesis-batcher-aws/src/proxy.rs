//! The variables that name the proxy for HTTPS.

use http::Uri;

/// Checks the variable that names the proxy for HTTPS: `HTTPS_PROXY`, else `ALL_PROXY`, or either in small letters.
///
/// Libraries pass over a value that they cannot read, and connect without the proxy. A runtime crate calls this so that
/// such a value is an error. Values never appear in the error, since they may hold a password.
///
/// # Errors
/// One line that names the variable and says what is wrong with it.
pub fn check_https_proxy() -> Result<(), String> {
    // As in a CGI program, where the client of the server could set HTTP_PROXY; all proxies are then ignored.
    if std::env::var_os("REQUEST_METHOD").is_some() {
        return Ok(());
    }
    for names in [["HTTPS_PROXY", "https_proxy"], ["ALL_PROXY", "all_proxy"]] {
        let set = names.iter().find_map(|name| std::env::var(name).ok().map(|value| (name, value)));
        if let Some((name, value)) = set.filter(|(_, value)| !value.trim().is_empty()) {
            return check(&value).map_err(|problem| format!("{name} {problem}"));
        }
    }
    Ok(())
}

fn check(value: &str) -> Result<(), String> {
    let uri =
        value.parse::<Uri>().ok().filter(|uri| uri.authority().is_some_and(|host| !host.host().is_empty()));
    let Some(uri) = uri else {
        return Err("is no URL of a proxy, such as http://proxy.example.com:3128".to_owned());
    };
    match uri.scheme_str() {
        None | Some("http" | "https") => Ok(()),
        Some(other) => {
            Err(format!("names a proxy of a kind that is not supported ({other}); http and https are"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_a_host_with_a_known_scheme_or_none() {
        for good in ["http://proxy:3128", "https://user:word@proxy", "proxy.example.com:3128", "10.0.0.1:80"]
        {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["http://[", "http://", "/path", "not a proxy"] {
            assert!(check(bad).unwrap_err().contains("no URL of a proxy"), "{bad}");
        }
        assert!(check("socks5://proxy").unwrap_err().contains("socks5"));
    }
}
