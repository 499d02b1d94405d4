//! What a call means.
//!
//! [`call`] is the state machine between signalling and media and the only module that names SIP or
//! RTP types; [`agent_session`] is the actor that holds the conversation; [`agent`] is what a builder
//! implements; [`flow`], `echo` and `play` are the agents that come with it; [`provider`] is what
//! speech recognisers and voices implement, [`grammar`] what a recogniser listens for. [`token_bucket`] is what
//! rates are limited by.

#![forbid(unsafe_code)]

pub mod agent;
pub mod agent_session;
pub mod call;
pub mod flow;
pub mod grammar;
pub mod pii;
pub mod provider;
pub mod token_bucket;
