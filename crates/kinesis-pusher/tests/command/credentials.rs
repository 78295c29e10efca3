//! Each way to get credentials that the AWS tools know, as far as its source can stand on loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use crate::run::{Files, finish, hostile, pusher};

/// Answers as STS, the SSO portal, a container's agent and the instance metadata service do, one connection at a time,
/// until the process ends. Each gives out an access key of its own.
fn aws_services() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            std::thread::spawn(move || serve(&stream));
        }
    });
    url
}

fn serve(stream: &TcpStream) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).unwrap();
        let reply = reply(&head, &String::from_utf8(body).unwrap());
        let (status, body) = match &reply {
            Some(body) => ("200 OK", body.as_str()),
            None => ("404 Not Found", ""),
        };
        let headers =
            format!("Content-Length: {}\r\nx-aws-ec2-metadata-token-ttl-seconds: 600\r\n", body.len());
        if write!(&*stream, "HTTP/1.1 {status}\r\n{headers}\r\n{body}").is_err() {
            return;
        }
    }
}

fn reply(head: &str, body: &str) -> Option<String> {
    const ROLE: &str = "/latest/meta-data/iam/security-credentials/";
    let mut words = head.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    match (method, path) {
        ("POST", "/") if body.contains("Action=AssumeRoleWithWebIdentity") => {
            body.contains("WebIdentityToken=jwt").then(|| sts("AssumeRoleWithWebIdentity", "AKIDWEBIDENTITY"))
        }
        ("POST", "/") if body.contains("Action=AssumeRole") => Some(sts("AssumeRole", "AKIDROLE")),
        ("GET", "/container") if head.contains("agent-token") => Some(json("AKIDCONTAINER", "Token")),
        ("PUT", "/latest/api/token") => Some("imds-token".into()),
        ("GET", ROLE) => Some("the-role".into()),
        ("GET", path) if path.strip_prefix(ROLE) == Some("the-role") => Some(json("AKIDINSTANCE", "Token")),
        ("GET", path) if path.starts_with("/federation/credentials") => {
            let token = if head.contains("session-token") { "AKIDSSOSESSION" } else { "AKIDSSO" };
            Some(format!(
                r#"{{"roleCredentials":{{"accessKeyId":"{token}","secretAccessKey":"s","sessionToken":"t",
                "expiration":4102444800000}}}}"#
            ))
        }
        _ => None,
    }
}

fn sts(action: &str, key: &str) -> String {
    format!(
        r#"<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result><Credentials>
        <AccessKeyId>{key}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
        <Expiration>2100-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser>
        <Arn>arn:aws:sts::123456789012:assumed-role/r/s</Arn><AssumedRoleId>A:s</AssumedRoleId></AssumedRoleUser>
        </{action}Result></{action}Response>"#
    )
}

fn json(key: &str, token: &str) -> String {
    format!(
        r#"{{"Code":"Success","Type":"AWS-HMAC","LastUpdated":"2020-01-01T00:00:00Z","AccessKeyId":"{key}",
        "SecretAccessKey":"s","{token}":"t","Expiration":"2100-01-01T00:00:00Z"}}"#
    )
}

/// The access key that a push with these files and this environment signs with.
fn access_key(files: &Files, prepare: impl FnOnce(&mut Command)) -> String {
    let kinesis = hostile();
    let input = files.file("input", "x\n");
    let url = kinesis.endpoint_url();
    let arguments = ["push", "--stream=hostile", "--region=us-east-1", "--endpoint-url", &url, &input];
    let mut command = pusher(&arguments);
    command.env("HOME", files.path(""));
    prepare(&mut command);
    let ran = finish(&mut command);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    kinesis.put_requests()[0].access_key_id.clone().expect("the request is signed")
}

fn with_config(config: &str) -> (Files, String) {
    let files = Files::new();
    let path = files.file("config", config);
    (files, path)
}

#[test]
fn the_environment() {
    let key = access_key(&Files::new(), |command| {
        command
            .env("AWS_ACCESS_KEY_ID", "AKIDENV")
            .env("AWS_SECRET_ACCESS_KEY", "s")
            .env("AWS_SESSION_TOKEN", "t");
    });
    assert_eq!(key, "AKIDENV");
}

#[test]
fn a_key_in_the_config_file() {
    let (files, config) =
        with_config("[profile ingest]\naws_access_key_id = AKIDCONFIG\naws_secret_access_key = s\n");
    let key = access_key(&files, |command| {
        command.env("AWS_CONFIG_FILE", config).env("AWS_PROFILE", "ingest");
    });
    assert_eq!(key, "AKIDCONFIG");
}

#[test]
fn a_key_in_the_credentials_file() {
    let files = Files::new();
    let path =
        files.file("credentials", "[default]\naws_access_key_id = AKIDFILE\naws_secret_access_key = s\n");
    let key = access_key(&files, |command| {
        command.env("AWS_SHARED_CREDENTIALS_FILE", path);
    });
    assert_eq!(key, "AKIDFILE");
}

#[test]
fn a_role_that_a_source_profile_assumes() {
    let (files, config) = with_config(
        "[default]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = base\n\
         [profile base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = s\n",
    );
    let key = access_key(&files, |command| {
        command.env("AWS_CONFIG_FILE", config).env("AWS_ENDPOINT_URL_STS", aws_services());
    });
    assert_eq!(key, "AKIDROLE");
}

#[test]
fn a_role_that_the_environments_key_assumes() {
    let (files, config) = with_config(
        "[profile ingest]\nrole_arn = arn:aws:iam::123456789012:role/r\ncredential_source = Environment\n",
    );
    let kinesis = hostile();
    let url = kinesis.endpoint_url();
    let arguments =
        ["shards", "--stream=hostile", "--region=us-east-1", "--profile=ingest", "--endpoint-url", &url];
    let ran = finish(
        pusher(&arguments)
            .env("AWS_CONFIG_FILE", config)
            .env("AWS_ENDPOINT_URL_STS", aws_services())
            .env("AWS_ACCESS_KEY_ID", "AKIDENV")
            .env("AWS_SECRET_ACCESS_KEY", "s"),
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    drop(files);
}

#[test]
fn a_web_identity_of_the_environment() {
    let files = Files::new();
    let token = files.file("token", "jwt");
    let key = access_key(&files, |command| {
        command
            .env("AWS_WEB_IDENTITY_TOKEN_FILE", token)
            .env("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/r")
            .env("AWS_ENDPOINT_URL_STS", aws_services());
    });
    assert_eq!(key, "AKIDWEBIDENTITY");
}

#[test]
fn a_web_identity_of_a_profile() {
    let files = Files::new();
    let token = files.file("token", "jwt");
    let config = files.file(
        "config",
        format!(
            "[default]\nrole_arn = arn:aws:iam::123456789012:role/r\nweb_identity_token_file = {token}\n"
        ),
    );
    let key = access_key(&files, |command| {
        command.env("AWS_CONFIG_FILE", config).env("AWS_ENDPOINT_URL_STS", aws_services());
    });
    assert_eq!(key, "AKIDWEBIDENTITY");
}

#[cfg(unix)]
#[test]
fn a_process_that_the_profile_names() {
    let files = Files::new();
    let answer = files.file("answer", r#"{"Version":1,"AccessKeyId":"AKIDPROCESS","SecretAccessKey":"s"}"#);
    let config = files.file("config", format!("[default]\ncredential_process = cat {answer}\n"));
    let key = access_key(&files, |command| {
        command.env("AWS_CONFIG_FILE", config);
    });
    assert_eq!(key, "AKIDPROCESS");
}

#[test]
fn the_role_of_a_container() {
    let key = access_key(&Files::new(), |command| {
        command
            .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/container", aws_services()))
            .env("AWS_CONTAINER_AUTHORIZATION_TOKEN", "agent-token");
    });
    assert_eq!(key, "AKIDCONTAINER");
}

#[test]
fn the_role_of_an_instance() {
    let key = access_key(&Files::new(), |command| {
        command
            .env_remove("AWS_EC2_METADATA_DISABLED")
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", aws_services());
    });
    assert_eq!(key, "AKIDINSTANCE");
}

/// What `aws sso login` leaves, under the SHA-1 of the session's name, or of the start URL where there is no session.
fn sso_cache(files: &Files, hash: &str, token: &str) {
    std::fs::create_dir_all(files.path(".aws/sso/cache")).unwrap();
    let text = format!(
        r#"{{"accessToken":"{token}","expiresAt":"2100-01-01T00:00:00Z","region":"us-east-1",
        "startUrl":"https://example.awsapps.com/start"}}"#
    );
    files.file(&format!(".aws/sso/cache/{hash}.json"), text);
}

#[test]
fn an_sso_session() {
    let (files, config) = with_config(
        "[default]\nsso_session = ingest\nsso_account_id = 123456789012\nsso_role_name = r\n\
         [sso-session ingest]\nsso_region = us-east-1\nsso_start_url = https://example.awsapps.com/start\n",
    );
    sso_cache(&files, "7e11adc67bac90de5add9de6a5417692dc9eab58", "session-token");
    let key = access_key(&files, |command| {
        command.env("AWS_CONFIG_FILE", config).env("AWS_ENDPOINT_URL_SSO", aws_services());
    });
    assert_eq!(key, "AKIDSSOSESSION");
}

#[test]
fn an_sso_profile_without_a_session() {
    let (files, config) = with_config(
        "[default]\nsso_start_url = https://example.awsapps.com/start\nsso_region = us-east-1\n\
         sso_account_id = 123456789012\nsso_role_name = r\n",
    );
    sso_cache(&files, "e8be5486177c5b5392bd9aa76563515b29358e6e", "legacy");
    let key = access_key(&files, |command| {
        command.env("AWS_CONFIG_FILE", config).env("AWS_ENDPOINT_URL_SSO", aws_services());
    });
    assert_eq!(key, "AKIDSSO");
}

#[test]
fn a_session_of_aws_login_is_refused_with_what_to_do_instead() {
    let (files, config) =
        with_config("[profile me]\nlogin_session = arn:aws:iam::123456789012:user/x\nregion = us-east-1\n");
    let kinesis = hostile();
    let url = kinesis.endpoint_url();
    let arguments = ["shards", "--stream=hostile", "--profile=me", "--endpoint-url", &url];
    let ran = finish(pusher(&arguments).env("AWS_CONFIG_FILE", config).env("HOME", files.path("")));
    ran.assert_not_started(&[
        "profile 'me'",
        "aws login",
        "export-credentials --profile me",
        "credential_process",
    ]);
    assert!(!ran.stderr.contains("cargo"), "{}", ran.stderr);
}

#[test]
fn the_place_at_fault_and_the_deepest_cause_are_named() {
    let files = Files::new();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = files.file(
        "config",
        "[default]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = base\n\
         [profile base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = s\n",
    );
    let arguments = ["shards", "--stream=hostile", "--region=us-east-1", "--endpoint-url=http://127.0.0.1:1"];
    let ran = finish(
        pusher(&arguments)
            .env("AWS_CONFIG_FILE", config)
            .env("AWS_ENDPOINT_URL_STS", format!("http://{closed}")),
    );
    ran.assert_not_started(&["no credentials", "profile 'default'"]);
    assert!(ran.stderr.to_lowercase().contains("connection refused"), "{}", ran.stderr);
}
