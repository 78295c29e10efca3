//! Who may look, and whether somebody is who they say.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// Users and their passwords, one `user:password` a line.
///
/// A password may stand there as it is, or as a bcrypt hash, which `htpasswd -B` writes: what starts with `$2y$`, `$2b$`
/// or `$2a$` is one. Hashes of other kinds are refused rather than taken for passwords. Empty lines, and those that
/// start with `#`, are skipped.
///
/// A wrong password costs the same time whether or not there is such a user.
pub struct Credentials {
    users: Vec<User>,
    /// What a failed attempt costs, as bcrypt counts it; `None` where no password is hashed.
    cost: Option<u32>,
    salt: [u64; 2],
}

struct User {
    name: String,
    hash: Option<Hash>,
    /// Of the name and the right password: from the start where that is known, and once it was given where only its hash
    /// is. A page that asks every second then costs no hash every second.
    fingerprint: Mutex<Option<Fingerprint>>,
}

struct Hash {
    text: String,
    cost: u32,
}

type Fingerprint = [u8; 32];

impl Credentials {
    /// Reads a file of credentials.
    ///
    /// # Errors
    /// [`CredentialsError`]: it cannot be read, a line is wrong, or there is no user in it.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, CredentialsError> {
        Self::parse(&std::fs::read_to_string(path).map_err(CredentialsError::Unreadable)?)
    }

    /// Reads credentials from text.
    ///
    /// # Errors
    /// [`CredentialsError`]: a line is wrong, or there is no user.
    pub fn parse(text: &str) -> Result<Self, CredentialsError> {
        let salt = [(); 2].map(|()| RandomState::new().build_hasher().finish());
        let mut users: Vec<User> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |why| CredentialsError::Line { number, why };
            let (name, password) = line.split_once(':').ok_or_else(|| wrong("it has no colon"))?;
            if name.is_empty() || password.is_empty() {
                return Err(wrong("the user or the password is empty"));
            }
            if users.iter().any(|user| user.name == name) {
                return Err(wrong("an earlier line has the same user"));
            }
            let hash = Hash::parse(password).map_err(wrong)?;
            let known = hash.is_none().then(|| fingerprint(&salt, name.as_bytes(), password.as_bytes()));
            users.push(User { name: name.to_owned(), hash, fingerprint: Mutex::new(known) });
        }
        if users.is_empty() {
            return Err(CredentialsError::Empty);
        }
        let cost = users.iter().filter_map(|user| Some(user.hash.as_ref()?.cost)).max();
        Ok(Self { users, cost, salt })
    }

    /// Whether the answer is known without a hash; `None` if it takes [`verify`](Self::verify).
    pub(super) fn verify_known(&self, name: &[u8], password: &[u8]) -> Option<bool> {
        let given = fingerprint(&self.salt, name, password);
        // All are compared, so that the time does not tell which.
        let right = self.users.iter().fold(Choice::from(0), |right, user| {
            let known = *user.fingerprint.lock().unwrap_or_else(PoisonError::into_inner);
            right | known.map_or(Choice::from(0), |known| known.ct_eq(&given))
        });
        if bool::from(right) {
            return Some(true);
        }
        self.cost.is_none().then_some(false)
    }

    /// Whether this is the user's password. Takes tens of milliseconds of CPU, and the same for every user and for those
    /// that do not exist.
    pub(super) fn verify(&self, name: &[u8], password: &[u8]) -> bool {
        let mut user = None;
        for candidate in &self.users {
            if bool::from(candidate.name.as_bytes().ct_eq(name)) {
                user = Some(candidate);
            }
        }
        let hash = user.and_then(|user| user.hash.as_ref());
        let right = hash.is_some_and(|hash| bcrypt::verify(password, &hash.text).unwrap_or(false));
        self.spend_the_rest(hash.map(|hash| hash.cost), password);
        if right && let Some(user) = user {
            let known = fingerprint(&self.salt, name, password);
            *user.fingerprint.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
        }
        right
    }

    /// Makes up for what a hash of this cost took less than the dearest: 2^cost is the work of each, and
    /// 2^c + 2^c + 2^(c+1) + … + 2^(max-1) = 2^max.
    fn spend_the_rest(&self, spent: Option<u32>, password: &[u8]) {
        let Some(cost) = self.cost else { return };
        let costs = spent.map_or(cost..=cost, |spent| spent..=cost - 1);
        for cost in costs {
            std::hint::black_box(bcrypt::hash_with_salt(password, cost, [0; 16]).is_ok());
        }
    }
}

impl Hash {
    /// A hash that is known here; `None` for a password.
    fn parse(text: &str) -> Result<Option<Self>, &'static str> {
        if ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) {
            let parts: bcrypt::HashParts = text.parse().map_err(|_| "its bcrypt hash is damaged")?;
            if parts.get_cost() > COST_MAX {
                return Err("its bcrypt hash takes seconds to check; make one with a cost of 14 or less");
            }
            return Ok(Some(Self { text: text.to_owned(), cost: parts.get_cost() }));
        }
        let foreign = text.starts_with('{') || (text.starts_with('$') && text.matches('$').count() >= 3);
        if foreign {
            return Err("its hash is of a kind that is not known here; make one with htpasswd -B");
        }
        Ok(None)
    }
}

fn fingerprint(salt: &[u64; 2], name: &[u8], password: &[u8]) -> Fingerprint {
    let mut digest = Sha256::new();
    digest.update(salt[0].to_le_bytes());
    digest.update(salt[1].to_le_bytes());
    digest.update((name.len() as u64).to_le_bytes());
    digest.update(name);
    digest.update(password);
    digest.finalize().into()
}

/// Neither names nor passwords.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({} users)", self.users.len())
    }
}

/// Why credentials were not taken. Says nothing of what is in them.
#[derive(Debug)]
#[non_exhaustive]
pub enum CredentialsError {
    /// The file could not be read.
    Unreadable(io::Error),
    /// A line is wrong.
    Line {
        /// Which, from 1.
        number: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There is no user.
    Empty,
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "the file cannot be read: {error}"),
            Self::Line { number, why } => write!(f, "line {number}: {why}; a line is user:password"),
            Self::Empty => f.write_str("there is no user in it; a line is user:password"),
        }
    }
}

impl std::error::Error for CredentialsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable(error) => Some(error),
            _ => None,
        }
    }
}

/// About a second. One more doubles that, and 31 would take days.
const COST_MAX: u32 = 14;

#[cfg(test)]
mod tests {
    use super::*;

    /// `htpasswd -nbB -C 4 ada secret`, and `-C 6 grace hopper`.
    fn mixed() -> Credentials {
        let hash = |password, cost| bcrypt::hash_with_salt(password, cost, [7; 16]).unwrap();
        let ada = hash("secret", 4).format_for_version(bcrypt::Version::TwoY);
        let grace = hash("hopper", 6).format_for_version(bcrypt::Version::TwoB);
        Credentials::parse(&format!("# users\nada:{ada}\n\nalan:tu:ring\ngrace:{grace}\n")).unwrap()
    }

    fn allows(credentials: &Credentials, name: &str, password: &str) -> bool {
        let (name, password) = (name.as_bytes(), password.as_bytes());
        credentials.verify_known(name, password).unwrap_or_else(|| credentials.verify(name, password))
    }

    #[test]
    fn the_right_password_is_let_in_and_no_other() {
        let credentials = mixed();
        for (name, password) in [("ada", "secret"), ("alan", "tu:ring"), ("grace", "hopper")] {
            for _ in 0..2 {
                assert!(allows(&credentials, name, password), "{name} gives the right password");
            }
            for wrong in ["", "secrets", "Secret", "hopper ", "tu"] {
                assert!(!allows(&credentials, name, wrong), "{name} gives {wrong:?}");
            }
            assert!(!allows(&credentials, &name.to_uppercase(), password), "names are told apart by case");
        }
        assert!(!allows(&credentials, "", ""));
        assert!(!allows(&credentials, "nobody", "secret"));
    }

    #[test]
    fn a_hash_is_computed_once_for_a_password_that_was_right() {
        let credentials = mixed();
        assert_eq!(credentials.verify_known(b"ada", b"secret"), None, "it takes the hash to tell");
        assert!(credentials.verify(b"ada", b"secret"));
        assert_eq!(credentials.verify_known(b"ada", b"secret"), Some(true));
        assert_eq!(credentials.verify_known(b"ada", b"wrong"), None);
        assert_eq!(credentials.verify_known(b"alan", b"tu:ring"), Some(true));
    }

    #[test]
    fn a_name_and_a_password_do_not_run_into_each_other() {
        let credentials = Credentials::parse("ab:cd").unwrap();
        assert!(!allows(&credentials, "a", "bcd") && !allows(&credentials, "abc", "d"));
    }

    #[test]
    fn lines_that_would_lock_users_out_are_refused_without_telling_their_secrets() {
        for line in [
            "secret",
            ":secret",
            "user:",
            "user:$apr1$salt$secret",
            "user:{SHA}secret",
            "user:$6$salt$secret",
            "user:$2y$10$secret",
            "user:$2y$31$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuuabcdefghijklmnopq",
        ] {
            let error = Credentials::parse(&format!("ok:ok\n{line}\n")).unwrap_err();
            let told = format!("{error} {error:?}");
            assert!(told.contains("line 2") && !told.contains("secret"), "{line:?} gives {told}");
        }
        assert!(Credentials::parse("a:b\na:c").is_err(), "one of them would never work");
        assert!(matches!(Credentials::parse("# nobody\n"), Err(CredentialsError::Empty)));
        assert!(!format!("{:?}", mixed()).contains("ada"));
    }
}
