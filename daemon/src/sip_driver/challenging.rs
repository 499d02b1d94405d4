//! Whether callers are who they say (RFC 3261 22.2): a trunk may ask for its own name and password.

use std::collections::HashMap;
use std::time::Instant;

use offhook_sip::digest::{Authenticator, Credentials, Verdict};
use offhook_sip::endpoint::{Flow, InviteId};
use offhook_sip::message::{Request, StatusCode};

use super::{Signalling, counting};
use crate::config::{Config, TrunkName};
use crate::random::Random;

/// Who asks, by trunk.
#[derive(Debug)]
pub(super) struct Challengers {
    by_trunk: HashMap<TrunkName, (Authenticator, Credentials)>,
    began: Instant,
}

impl Challengers {
    pub(super) fn new(config: &Config, random: &mut Random) -> Self {
        let mut by_trunk = HashMap::new();
        for trunk in config
            .trunks
            .values()
            .filter(|trunk| trunk.challenge_inbound)
        {
            let outbound = trunk.outbound.as_ref();
            let Some(credentials) = outbound.and_then(|outbound| outbound.credentials.clone())
            else {
                continue;
            };
            let realm = credentials.realm.clone();
            let realm = realm.unwrap_or_else(|| "offhook".to_owned());
            let key: Vec<u8> = (0..4)
                .flat_map(|_| random.next_u64().to_le_bytes())
                .collect();
            let authenticator = Authenticator::new(realm, &key);
            by_trunk.insert(trunk.name.clone(), (authenticator, credentials));
        }
        Self {
            by_trunk,
            began: Instant::now(),
        }
    }
}

impl Signalling {
    /// Whether an INVITE may go on. One that may not was answered: 401 with a challenge, or 403 to who
    /// answers it wrongly.
    pub(super) fn is_who_it_says(
        &mut self,
        invite: InviteId,
        request: &Request,
        flow: Flow,
        now: Instant,
    ) -> bool {
        let Some(trunk) = self.config.trunk_for(flow.remote.ip()) else {
            // Whom we call may call us; what it gets is for the routes to say.
            return true;
        };
        let began = self.challengers.began;
        let Some((authenticator, credentials)) = self.challengers.by_trunk.get_mut(&trunk.name)
        else {
            return true;
        };
        let now_ms = u64::try_from(now.saturating_duration_since(began).as_millis());
        let now_ms = now_ms.unwrap_or(u64::MAX);
        let known = |user: &str| (user == credentials.username).then_some(&credentials.password);
        let stale = match authenticator.verify(request, known, now_ms) {
            Verdict::Accepted { .. } => return true,
            Verdict::Missing => false,
            Verdict::Stale => true,
            Verdict::Malformed => {
                counting::call_refused(400, "malformed_credentials");
                self.reject_unproven(invite, StatusCode::BAD_REQUEST, &[], now);
                return false;
            }
            Verdict::Refused => {
                counting::call_refused(403, "wrong_credentials");
                self.reject_unproven(invite, StatusCode::FORBIDDEN, &[], now);
                return false;
            }
        };
        counting::call_refused(401, "challenged");
        let challenges = authenticator.challenge(now_ms, stale);
        let headers: Vec<(&str, &str)> = challenges
            .iter()
            .map(|challenge| ("WWW-Authenticate", challenge.as_str()))
            .collect();
        self.reject_unproven(invite, StatusCode::UNAUTHORIZED, &headers, now);
        false
    }

    /// RFC 3261 26.3.2.4: who has shown nothing may be whoever wrote another's address, and is answered once.
    fn reject_unproven(
        &mut self,
        invite: InviteId,
        status: StatusCode,
        headers: &[(&str, &str)],
        now: Instant,
    ) {
        if let Err(misuse) = self.endpoint.reject_once(invite, status, headers, now) {
            tracing::debug!(%misuse, "a refusal came too late");
        }
    }
}
