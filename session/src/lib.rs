//! What a call means.
//!
//! [`call`] is the state machine between signalling and media and the only module that names SIP or
//! RTP types; [`agent_session`] is the actor that holds the conversation; [`agent`] is what a builder
//! implements, [`agent_directory`] how agents ask each other; [`flow`], `echo` and `play` are the agents that come with it; [`provider`] is what
//! speech recognisers and voices implement, [`grammar`] what a recogniser listens for, [`chat`] what a
//! language model is told, and [`tool`] what it may call. [`voicemail`] tells who answered
//! a call of ours, [`webhook`] is what programs of others are asked by. [`token_bucket`] is what rates are limited by.

#![forbid(unsafe_code)]

pub mod agent;
pub mod agent_directory;
pub mod agent_session;
pub mod call;
pub mod chat;
pub mod flow;
pub mod grammar;
pub mod pii;
pub mod provider;
pub mod token_bucket;
pub mod tool;
pub mod voicemail;
pub mod webhook;
