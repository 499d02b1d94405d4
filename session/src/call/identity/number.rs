//! Numbers as different far ends write them.

/// The spellings by which a number may be known here: as it came, without what is only there for the eye, and
/// with or without the leading `+`, which some carriers leave out. `00` and other prefixes mean something else on
/// each trunk and are left alone, and so is what is no number.
#[must_use]
pub fn spellings(user: &str) -> Vec<String> {
    let mut spellings = vec![user.to_owned()];
    if let Some(number) = plain(user) {
        let other = match number.strip_prefix('+') {
            Some(digits) => digits.to_owned(),
            None => format!("+{number}"),
        };
        spellings.extend([number, other]);
        spellings.dedup();
    }
    spellings
}

/// Whether two texts mean one number.
#[must_use]
pub fn is_same_number(left: &str, right: &str) -> bool {
    let digits = |text| plain(text).map(|number| number.trim_start_matches('+').to_owned());
    match (digits(left), digits(right)) {
        (Some(left), Some(right)) => left == right,
        (Some(_) | None, None) | (None, Some(_)) => left == right,
    }
}

/// A number without its visual separators (RFC 3966 5.1.1); `None` for what is none.
fn plain(text: &str) -> Option<String> {
    let number: String = text
        .chars()
        .filter(|character| !matches!(character, ' ' | '-' | '.' | '(' | ')'))
        .collect();
    let digits = number.strip_prefix('+').unwrap_or(&number);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wound_68_a_number_is_known_with_and_without_its_plus_and_its_separators() {
        assert_eq!(
            spellings("+49 (30) 12-3"),
            ["+49 (30) 12-3", "+4930123", "4930123"]
        );
        assert_eq!(spellings("4930123"), ["4930123", "+4930123"]);
        assert!(is_same_number("+49-30-123", "4930123"));
        assert!(!is_same_number("004930123", "+4930123"));
        assert!(!is_same_number("+4930123", "+4930124"));
    }

    #[test]
    fn what_is_no_number_has_one_spelling() {
        for name in ["front-desk", "", "+", "sales.1", "*21#"] {
            assert_eq!(spellings(name), [name]);
        }
        assert!(is_same_number("front-desk", "front-desk"));
        assert!(!is_same_number("front-desk", "frontdesk"));
    }
}
