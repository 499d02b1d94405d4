//! What the RFCs calculated, and what was calculated for them elsewhere.

use super::auth_value::AuthValue;
use super::authorization::Authorization;
use super::credentials::Secret;
use crate::message::Method;

/// Whether the password gives the response that the answer holds.
#[track_caller]
fn assert_proves(answer: &str, password: &str, method: &str, body: &[u8]) {
    let values = AuthValue::read_all(answer).unwrap();
    let answer = Authorization::read(&values[0]).unwrap();
    let method: Method = method.parse().unwrap();
    let response = answer.response_by(&Secret::new(password), &method, body);
    assert_eq!(response, answer.response);
}

/// RFC 7616 section 3.9.1.
const MUFASA: &str = r#"Digest username="Mufasa",
    realm="http-auth@example.org", uri="/dir/index.html",
    nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001,
    cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth,
    opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#;

#[test]
fn rfc_7616_section_3_9_1_with_md5_and_sha_256() {
    let answer = MUFASA.replace('\n', "");
    for ending in [
        r#", algorithm=MD5, response="8ca523f5e9506fed4657c9700eebdbec""#,
        r#", algorithm=SHA-256, response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1""#,
    ] {
        assert_proves(&(answer.clone() + ending), "Circle of Life", "GET", b"");
    }
}

/// The response is that of erratum 4897: the RFC's own is of other inputs. The name is not hashed, as
/// the calculation wants it and SIP sends it.
#[test]
fn rfc_7616_section_3_9_2_with_sha_512_256_and_a_name_beyond_ascii() {
    let answer = "Digest username=\"Jäsøn Doe\", realm=\"api@example.org\", uri=\"/doe.json\", \
         algorithm=SHA-512-256, nonce=\"5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK\", nc=00000001, \
         cnonce=\"NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v\", qop=auth, \
         response=\"3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5\"";
    assert_proves(answer, "Secret, or not?", "GET", b"");
}

#[test]
fn rfc_2617_section_3_5() {
    let answer = "Digest username=\"Mufasa\", realm=\"testrealm@host.com\", \
         nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", uri=\"/dir/index.html\", qop=auth, nc=00000001, \
         cnonce=\"0a4f113b\", response=\"6629fae49393a05397450978507c4ef1\", \
         opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
    assert_proves(answer, "Circle Of Life", "GET", b"");
}

/// The INVITE of draft-smith-sipping-auth-examples (its first two values are of that draft), in every
/// algorithm and quality of protection. Calculated with Python's hashlib.
#[test]
fn every_algorithm_and_quality_of_protection() {
    let expected = [
        ("MD5", "", "bf57e4e0d0bffc0fbaedce64d59add5e"),
        ("MD5", "auth", "89eb0059246c02b2f6ee02c7961d5ea3"),
        ("MD5", "auth-int", "77226bb823dc077c1ad3537415667bae"),
        ("MD5-sess", "", "fff17611bcbbf00c9116a2c922dea8e1"),
        ("MD5-sess", "auth", "e4e4ea61d186d07a92c9e1f6919902e9"),
        ("MD5-sess", "auth-int", "8527c9ab1b4eed3fd75491f811944e26"),
        (
            "SHA-256",
            "",
            "38aad98c50c33abe72c5f88dd17246ffcfa6b1f68852c855719ff0659386c0ca",
        ),
        (
            "SHA-256",
            "auth",
            "b3b5a6c69453abafaab9ae4dccdac90a076b6c80615d5f3498e7433b6e93bf4f",
        ),
        (
            "SHA-256",
            "auth-int",
            "554a9ffe79ce71c3cb6c9630deddd2787d8033f895e5cdef6a73c8e84ed4c979",
        ),
        (
            "SHA-256-sess",
            "",
            "2ceb74b5bf787a27f00a80b94f397228de1a9bab1c3c56b7c6f984cf9f3ffdf7",
        ),
        (
            "SHA-256-sess",
            "auth",
            "5da59c9ca40954be9d5063a15a174066c8251be2c10cf47c144c366dc7daf792",
        ),
        (
            "SHA-256-sess",
            "auth-int",
            "0b4a1efc19e1b701ec5775b6b16dde0fc416102e34a6c5bd6f957b20b5d79170",
        ),
        (
            "SHA-512-256",
            "",
            "9e960b3a01beb63f1ea5d45d43bd8a2178879d3c9ddbbdb0624187ca823c6eca",
        ),
        (
            "SHA-512-256",
            "auth",
            "7f1a09de0f19af0a1eac2b28d33e3f2fb89cca1ad8fb01bba5e1883b288bac14",
        ),
        (
            "SHA-512-256",
            "auth-int",
            "e9a7fbc1c80a10421c59a0c982f28d40e0ddc7b62ef3dc4faf68f179c6e05922",
        ),
        (
            "SHA-512-256-sess",
            "",
            "10f52db7e2818a98871fd94294a2593a22eeaf07e23dad0b2bb52694442db5dd",
        ),
        (
            "SHA-512-256-sess",
            "auth",
            "077d9677be83f41f162d1a4453dc163389919f81e5927391d972f477da767633",
        ),
        (
            "SHA-512-256-sess",
            "auth-int",
            "0220683d8c9faccc1d05bd2ef0e7ccdff87eacd5f06fb6bfd9cd7d3acf66a00b",
        ),
    ];
    for (algorithm, qop, response) in expected {
        let answer = format!(
            "Digest username=\"bob\", realm=\"biloxi.com\", uri=\"sip:bob@biloxi.com\", \
             nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", nc=00000001, cnonce=\"0a4f113b\", \
             algorithm={algorithm}, qop=\"{qop}\", response=\"{response}\""
        );
        assert_proves(&answer, "zanzibar", "INVITE", b"v=0\r\n");
    }
}

/// The name itself is hashed, not the escapes it is written with. Calculated with Python's hashlib.
#[test]
fn escapes_are_undone_before_hashing() {
    let answer = r#"Digest username="O\"Neil \\", realm="r", nonce="n", uri="sip:h", response="af74d296ec1f65c262c2dd8c5adc1aec""#;
    assert_proves(answer, "p", "INVITE", b"");
}
