//! What the environment and the AWS files say, checked before the SDK reads it.
//!
//! The SDK takes text as it comes: an empty endpoint, a carriage return in a key or a word where a number belongs end in
//! a panic or in an error that names neither the variable nor the file. Here, an empty setting counts as unset, and a
//! setting that cannot be used is refused by name. Values never appear in a message: they may be secrets.

use std::path::PathBuf;

use aws_config::profile::{Profile, ProfileSet};
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_runtime::env_config::property::PropertiesKey;
use aws_types::os_shim_internal::{Env, Fs};
use http::Uri;

use crate::config::AwsOptions;
use crate::connect_error::ConnectError;
use crate::error_chain::one_line;

/// The settings that this crate resolves itself, because the SDK would stumble over some of their values.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The profile's name, whether it exists or not.
    pub(crate) profile_name: String,
    /// The region of the environment or the profile.
    pub(crate) region: Option<String>,
    /// The endpoint for Kinesis, of the environment or the profile.
    pub(crate) endpoint_url: Option<String>,
    /// The endpoint of the instance metadata service, of the environment or the profile.
    pub(crate) metadata_url: Option<String>,
    /// The certificates to trust instead of the platform's.
    pub(crate) ca_bundle: Option<PathBuf>,
    /// Whether the environment has a web identity.
    pub(crate) has_web_identity: bool,
    /// Whether the environment names an endpoint for a container's credentials.
    pub(crate) has_container: bool,
}

impl Settings {
    /// Reads the environment and the AWS files as far as the options leave something open.
    ///
    /// # Errors
    /// [`ConnectError::Setting`] and [`ConnectError::NoSuchProfile`].
    pub(crate) async fn read(options: &AwsOptions) -> Result<Self, ConnectError> {
        let asked_for = options.profile.clone().filter(|name| !is_blank(name));
        let profile_name = match &asked_for {
            Some(name) => Some(name.clone()),
            None => variable("AWS_PROFILE")?,
        };
        // Without any file there is no profile `default` either, and none is needed.
        let is_named = profile_name.as_deref().is_some_and(|name| name != "default");
        let profile_name = profile_name.unwrap_or_else(|| "default".to_owned());
        let wants_credentials = options.credentials.is_none();

        let files = AwsFiles::load(&profile_name, is_named, wants_credentials).await?;
        let from_environment = wants_credentials && asked_for.is_none();
        if from_environment {
            for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
                check_variable(name, text)?;
            }
            check_variable("AWS_ACCOUNT_ID", label)?;
        }
        for (name, check) in VARIABLES {
            check_variable(name, *check)?;
        }
        if options.region.is_none() {
            check_variable("AWS_REGION", label)?;
            check_variable("AWS_DEFAULT_REGION", label)?;
        }
        for profile in files.chain() {
            for (key, check) in PROFILE_KEYS {
                if let Some(value) = profile.get(key).filter(|value| !is_blank(value)) {
                    check(value).map_err(|problem| entry_error(key, profile.name(), problem))?;
                }
            }
        }

        let has_web_identity =
            variable("AWS_WEB_IDENTITY_TOKEN_FILE")?.is_some() && variable("AWS_ROLE_ARN")?.is_some();
        let has_key =
            variable("AWS_ACCESS_KEY_ID")?.is_some() && variable("AWS_SECRET_ACCESS_KEY")?.is_some();
        let asks_a_service = has_web_identity || files.chain().iter().any(|profile| asks_a_service(profile));
        if wants_credentials && asks_a_service && !(from_environment && has_key) {
            refuse_blank_endpoints(&files)?;
        }

        Ok(Self {
            region: region(&files)?,
            endpoint_url: endpoint_url(&files)?,
            metadata_url: match variable("AWS_EC2_METADATA_SERVICE_ENDPOINT")? {
                Some(url) => Some(url),
                None => files.get("ec2_metadata_service_endpoint"),
            },
            ca_bundle: match variable("AWS_CA_BUNDLE")? {
                Some(path) => Some(path.into()),
                None => files.get("ca_bundle").map(PathBuf::from),
            },
            has_web_identity,
            has_container: variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")?.is_some()
                || variable("AWS_CONTAINER_CREDENTIALS_FULL_URI")?.is_some(),
            profile_name,
        })
    }
}

/// Checks a region that the program gives.
pub(crate) fn check_region(region: &str) -> Result<(), ConnectError> {
    label(region).map_err(|problem| ConnectError::Setting { name: "the region".into(), problem })
}

/// Checks an endpoint that the program gives.
pub(crate) fn check_endpoint(endpoint: &str) -> Result<(), ConnectError> {
    url(endpoint).map_err(|problem| ConnectError::Setting { name: "the endpoint".into(), problem })
}

/// A variable of the environment; `None` if it is unset or blank.
///
/// # Errors
/// When it is not UTF-8.
pub(crate) fn variable(name: &str) -> Result<Option<String>, ConnectError> {
    let Some(value) = std::env::var_os(name) else { return Ok(None) };
    match value.into_string() {
        Ok(value) if is_blank(&value) => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(_) => Err(variable_error(name, "is not UTF-8; set it anew".into())),
    }
}

/// The characters that an HTTP header can carry: visible ASCII and the space.
///
/// # Errors
/// The problem, in words that fit behind the name of the setting.
pub(crate) fn text(value: &str) -> Result<(), String> {
    let culprit = match value.chars().find(|c| !matches!(c, ' '..='~')) {
        None => return Ok(()),
        Some('\r') => "a carriage return",
        Some('\n') => "a line break",
        Some('\t') => "a tab",
        Some(c) if c.is_ascii() => "a control character",
        Some(_) => "a character beyond ASCII",
    };
    Err(format!("holds {culprit}, which no HTTP header can carry; set it anew"))
}

/// The shared config file and the shared credentials file.
struct AwsFiles {
    set: ProfileSet,
}

impl AwsFiles {
    async fn load(name: &str, is_named: bool, wants_credentials: bool) -> Result<Self, ConnectError> {
        let files = EnvConfigFiles::default();
        let profile = Some(name.to_owned().into());
        match aws_config::profile::load(&Fs::real(), &Env::real(), &files, profile).await {
            Ok(set) if is_named && wants_credentials && set.get_profile(name).is_none() => {
                Err(ConnectError::NoSuchProfile { profile: name.to_owned(), files: paths() })
            }
            Ok(set) => Ok(Self { set }),
            Err(error) if is_named || wants_credentials => {
                let cause =
                    std::error::Error::source(&error).map_or(String::new(), |cause| format!(": {cause}"));
                Err(ConnectError::Setting {
                    name: format!("one of the AWS files ({})", paths()),
                    problem: one_line(&format!("cannot be read ({error}{cause})")),
                })
            }
            // The program brings what it needs, and the files are of no use to it.
            Err(_) => Ok(Self { set: ProfileSet::default() }),
        }
    }

    /// An entry of the profile; `None` if it is missing or blank.
    fn get(&self, key: &str) -> Option<String> {
        self.set.get(key).filter(|value| !is_blank(value)).map(str::to_owned)
    }

    /// The endpoint for Kinesis in the `services` section that the profile names; blank if it is blank there.
    fn kinesis_endpoint(&self) -> Option<&str> {
        let section = self.set.get("services")?;
        let key = PropertiesKey::builder()
            .section_key("services")
            .section_name(section)
            .property_name("kinesis")
            .sub_property_name("endpoint_url");
        self.set.other_sections().get(&key.build().ok()?).map(String::as_str)
    }

    /// The profile and those that it takes its credentials from.
    fn chain(&self) -> Vec<&Profile> {
        let mut chain: Vec<&Profile> = vec![];
        let mut next = self.set.get_profile(self.set.selected_profile());
        while let Some(profile) = next
            && chain.len() < CHAIN_MAX
        {
            chain.push(profile);
            next = profile.get("source_profile").and_then(|name| self.set.get_profile(name));
        }
        chain
    }
}

/// Whether credentials of this profile come from a service whose endpoint can be set.
fn asks_a_service(profile: &Profile) -> bool {
    let keys = ["role_arn", "sso_session", "sso_start_url", "login_session"];
    keys.iter().any(|key| profile.get(key).is_some_and(|value| !is_blank(value)))
}

/// The SDK's providers of credentials read these endpoints themselves, and panic where they are empty.
fn refuse_blank_endpoints(files: &AwsFiles) -> Result<(), ConnectError> {
    const PROBLEM: &str = "is empty, and the SDK would ask for credentials there; unset it";
    for name in
        ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_SSO", "AWS_ENDPOINT_URL_SSO_OIDC"]
    {
        if std::env::var(name).is_ok_and(|value| is_blank(&value)) {
            return Err(variable_error(name, PROBLEM.into()));
        }
    }
    match files.set.get("endpoint_url") {
        Some(url) if is_blank(url) => {
            Err(entry_error("endpoint_url", files.set.selected_profile(), PROBLEM.into()))
        }
        _ => Ok(()),
    }
}

fn region(files: &AwsFiles) -> Result<Option<String>, ConnectError> {
    for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
        if let Some(region) = variable(name)? {
            return Ok(Some(region));
        }
    }
    Ok(files.get("region"))
}

/// As the SDKs resolve it: the environment before the profile, and the service's own before the one for all services.
fn endpoint_url(files: &AwsFiles) -> Result<Option<String>, ConnectError> {
    let ignored = match variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")? {
        Some(value) => Some(value),
        None => files.get("ignore_configured_endpoint_urls"),
    };
    if ignored.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    for name in ["AWS_ENDPOINT_URL_KINESIS", "AWS_ENDPOINT_URL"] {
        if let Some(endpoint) = variable(name)? {
            return Ok(Some(endpoint));
        }
    }
    if let Some(endpoint) = files.kinesis_endpoint().filter(|endpoint| !is_blank(endpoint)) {
        url(endpoint).map_err(|problem| ConnectError::Setting {
            name: "endpoint_url of kinesis in the services section of the AWS config file".into(),
            problem,
        })?;
        return Ok(Some(endpoint.to_owned()));
    }
    Ok(files.get("endpoint_url"))
}

/// Where the AWS files are.
fn paths() -> String {
    let path = |name: &str, default: &str| {
        std::env::var(name).ok().filter(|path| !is_blank(path)).unwrap_or_else(|| default.to_owned())
    };
    format!(
        "{} and {}",
        path("AWS_CONFIG_FILE", "~/.aws/config"),
        path("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")
    )
}

fn check_variable(name: &str, check: Check) -> Result<(), ConnectError> {
    match variable(name)? {
        Some(value) => check(&value).map_err(|problem| variable_error(name, problem)),
        None => Ok(()),
    }
}

fn variable_error(name: &str, problem: String) -> ConnectError {
    ConnectError::Setting { name: name.to_owned(), problem }
}

fn entry_error(key: &str, profile: &str, problem: String) -> ConnectError {
    ConnectError::Setting { name: format!("{key} in profile '{profile}'"), problem }
}

fn is_blank(value: &str) -> bool {
    value.trim().is_empty()
}

/// Says what is wrong with a value, in words that fit behind the name of the setting.
type Check = fn(&str) -> Result<(), String>;

/// A part of a host name: regions and account ids become one.
fn label(value: &str) -> Result<(), String> {
    let fits = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
    match value.len() <= LABEL_CHARS_MAX && value.bytes().all(fits) {
        true if !value.is_empty() => Ok(()),
        _ => Err("cannot be a part of a host name; it takes letters, digits and '-'".to_owned()),
    }
}

fn url(value: &str) -> Result<(), String> {
    let is_sound = value.parse::<Uri>().is_ok_and(|uri| {
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let host = authority.rsplit('@').next().unwrap_or_default();
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && (!has_port || uri.port_u16().is_some())
    });
    match is_sound {
        true => Ok(()),
        false => Err("is no URL that begins with http:// or https:// and names a host".to_owned()),
    }
}

fn path(value: &str) -> Result<(), String> {
    match value.starts_with('/') && value.parse::<Uri>().is_ok() {
        true => Ok(()),
        false => Err("is no path that begins with '/'".to_owned()),
    }
}

fn switch(value: &str) -> Result<(), String> {
    one_of(value, &["true", "false"])
}

fn account_id_mode(value: &str) -> Result<(), String> {
    one_of(value, &["preferred", "disabled", "required"])
}

fn address_family(value: &str) -> Result<(), String> {
    one_of(value, &["IPv4", "IPv6"])
}

fn one_of(value: &str, words: &[&str]) -> Result<(), String> {
    match words.iter().any(|word| value.eq_ignore_ascii_case(word)) {
        true => Ok(()),
        false => Err(format!("must be one of {}", words.join(", "))),
    }
}

/// What the SDK puts into a header, a URL or a decision, besides credentials and regions.
const VARIABLES: &[(&str, Check)] = &[
    ("AWS_ENDPOINT_URL", url),
    ("AWS_ENDPOINT_URL_KINESIS", url),
    ("AWS_ENDPOINT_URL_STS", url),
    ("AWS_ENDPOINT_URL_SSO", url),
    ("AWS_ENDPOINT_URL_SSO_OIDC", url),
    ("AWS_ENDPOINT_URL_SIGNIN", url),
    ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", switch),
    ("AWS_USE_FIPS_ENDPOINT", switch),
    ("AWS_USE_DUALSTACK_ENDPOINT", switch),
    ("AWS_ACCOUNT_ID_ENDPOINT_MODE", account_id_mode),
    ("AWS_EC2_METADATA_SERVICE_ENDPOINT", url),
    ("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", address_family),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", path),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN", text),
    ("AWS_ROLE_ARN", text),
    ("AWS_ROLE_SESSION_NAME", text),
    ("AWS_EXECUTION_ENV", text),
    ("AWS_SDK_UA_APP_ID", text),
];

/// The same for the profile and those it takes its credentials from.
const PROFILE_KEYS: &[(&str, Check)] = &[
    ("aws_access_key_id", text),
    ("aws_secret_access_key", text),
    ("aws_session_token", text),
    ("aws_account_id", label),
    ("region", label),
    ("endpoint_url", url),
    ("ignore_configured_endpoint_urls", switch),
    ("use_fips_endpoint", switch),
    ("use_dualstack_endpoint", switch),
    ("account_id_endpoint_mode", account_id_mode),
    ("ec2_metadata_service_endpoint", url),
    ("ec2_metadata_service_endpoint_mode", address_family),
    ("role_arn", text),
    ("role_session_name", text),
    ("sdk_ua_app_id", text),
];

/// RFC 1035, 2.3.4.
const LABEL_CHARS_MAX: usize = 63;
/// More than any chain of profiles that is meant; one that is its own source would go round for ever.
const CHAIN_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_scheme_a_host_and_a_port_that_exists() {
        for good in [
            "http://127.0.0.1:4567",
            "https://kinesis.eu-west-1.amazonaws.com/",
            "http://[::1]",
            "http://[::1]:80",
        ] {
            assert_eq!(url(good), Ok(()), "{good}");
        }
        for bad in [
            "http://[",
            "not a url",
            "ftp://host",
            "http://",
            "http://x y",
            "http://h:99999",
            "/path",
            "http://x\r",
        ] {
            assert!(url(bad).is_err(), "{bad:?} is no endpoint");
        }
    }

    #[test]
    fn text_that_no_header_can_carry_is_described_and_not_quoted() {
        assert_eq!(text("AKIDEXAMPLE/+= x"), Ok(()));
        for (bad, culprit) in
            [("A\rK", "carriage return"), ("A\n", "line break"), ("\u{1}", "control"), ("Aé", "beyond ASCII")]
        {
            let problem = text(bad).unwrap_err();
            assert!(problem.contains(culprit) && !problem.contains(bad), "{problem}");
        }
    }

    #[test]
    fn a_region_is_a_part_of_a_host_name() {
        for good in ["eu-west-1", "us-gov-east-1", "local"] {
            assert_eq!(label(good), Ok(()));
        }
        for bad in ["", "us east 1", "us-east-1\r", "a.b", &"x".repeat(64)] {
            assert!(label(bad).is_err(), "{bad:?} is no region");
        }
    }
}
