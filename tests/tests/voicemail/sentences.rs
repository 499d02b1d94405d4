//! What callees say, in our own words: one set of sentences to tune on, and another that is held back.
//!
//! No sentence is in both. Stock phrases ("leave a message", "press one") are, as they are in the world: they are what
//! the detector listens for. A number between bars is a pause in milliseconds.

use crate::callee::{Kind, Part};

/// The sentences of a kind.
pub fn of(part: Part, kind: Kind) -> &'static [&'static str] {
    match (part, kind) {
        (Part::Tuning, Kind::ShortHuman) => &TUNING_SHORT,
        (Part::Tuning, Kind::LongHuman) => &TUNING_LONG,
        (Part::Tuning, Kind::Business) => &TUNING_BUSINESS,
        (Part::Tuning, Kind::OneTone | Kind::TwoTone | Kind::NoBeep) => &TUNING_MACHINE,
        (Part::Tuning, Kind::Screening) => &TUNING_SCREENING,
        (Part::Tuning, Kind::Menu) => &TUNING_MENU,
        (Part::HeldBack, Kind::ShortHuman) => &HELD_SHORT,
        (Part::HeldBack, Kind::LongHuman) => &HELD_LONG,
        (Part::HeldBack, Kind::Business) => &HELD_BUSINESS,
        (Part::HeldBack, Kind::OneTone | Kind::TwoTone | Kind::NoBeep) => &HELD_MACHINE,
        (Part::HeldBack, Kind::Screening) => &HELD_SCREENING,
        (Part::HeldBack, Kind::Menu) => &HELD_MENU,
        (Part::Tuning, Kind::Network) => &TUNING_NETWORK,
        (Part::HeldBack, Kind::Network) => &HELD_NETWORK,
        (_, Kind::Fax | Kind::Silence) => &[""],
    }
}

const TUNING_SHORT: [&str; 16] = [
    "Hello, yes?",
    "Hi.",
    "Yes?",
    "Hello, hello?",
    "Yeah, hi.",
    "Who is it?",
    "Good morning.",
    "Hey there.",
    "Karen here.",
    "Yes, hello.",
    "Hello, who's calling?",
    "Hi, Tom.",
    "Oh, hello?",
    "What's up?",
    "Miller.",
    "Hello. |500| Hello?",
];

const HELD_SHORT: [&str; 16] = [
    "Hello?",
    "Hello there.",
    "Hey.",
    "Yep?",
    "Good evening.",
    "Jenny.",
    "Hi, who's that?",
    "Morning!",
    "Uh, hello?",
    "Robinson.",
    "Yeah?",
    "Who's there?",
    "Hi, it's Paul.",
    "Go ahead.",
    "Yes, please?",
    "Hello? |450| Yes?",
];

const TUNING_LONG: [&str; 10] = [
    "Hello, this is Karen Fisher speaking.",
    "Hi, sorry, I was just in the kitchen. Who is this?",
    "Hello? |600| Hello, is anybody there?",
    "Yes, this is the Fishers' house.",
    "Hey, can you hear me? I am on the train.",
    "Good afternoon, Peter Wagner on the line.",
    "Hi Mum, I'm just parking the car.",
    "Hello, you're on speaker, go ahead.",
    "Yes, hello, what can I do for you?",
    "Oh hi, I was hoping that you would call.",
];

const HELD_LONG: [&str; 10] = [
    "Hello, Anna Berger.",
    "Hi, hold on a second. |400| Okay, now I can hear you.",
    "Hello? |550| Who am I talking to?",
    "Yes, you are talking to David.",
    "Hey, it's a bad line, can you speak up?",
    "Good evening, Thomas Reed speaking.",
    "Hi honey, I'm almost home.",
    "Hello, Susan and Mark, who is this?",
    "Yes, good morning, this is she.",
    "Well hello, I didn't expect you before noon.",
];

const TUNING_BUSINESS: [&str; 10] = [
    "Lakeside Dental, this is Maria, how can I help you?",
    "Good morning, Northwind Motors, Steve speaking, what can I do for you?",
    "Front desk, how may I help?",
    "Brightwater Plumbing.",
    "Harbour Hotel reception, good evening.",
    "Accounts department, Julia speaking.",
    "Thanks for calling Oak Street Pharmacy, this is Ben, how can I help you today?",
    "City library, information desk.",
    "Fisher and Sons, good afternoon.",
    "Green Garden Restaurant, would you like to book a table?",
];

const HELD_BUSINESS: [&str; 10] = [
    "Doctor Weber's practice, Sandra speaking, how can I help?",
    "Hello and welcome to Redwood Travel, my name is Oliver, how may I help you today?",
    "Good afternoon, technical support, can I help you?",
    "Parker Electric.",
    "Riverside Clinic, one moment please.",
    "Sales, this is Jonathan.",
    "Thank you for calling Maple Insurance, you are speaking with Laura, what can I do for you?",
    "Reception.",
    "Stone Brothers Roofing, good morning.",
    "Blue Moon Bakery, are you calling to order a cake?",
];

const TUNING_MACHINE: [&str; 16] = [
    "Hi, you have reached the Miller family. |500| We are not available right now. Please leave a message after the tone.",
    "Hello, this is Karen. |700| I can't come to the phone at the moment. Leave your name and number and I will call you back.",
    "You've reached the voice mail of five five five, zero one two three. |400| Please leave your message after the beep.",
    "Your call has been forwarded to an automated voice messaging system. |350| The person at extension four two is not available. At the tone, please record your message.",
    "Hey, it's Tom. |300| You know what to do.",
    "Thank you for calling Lakeside Dental. |400| Our office is closed now. Please leave a message and we will get back to you on Monday.",
    "The person you have called cannot take your call right now. |300| Please leave a message after the tone.",
    "Hi, sorry I missed you. |900| Leave me a message and I'll ring you as soon as I can.",
    "Welcome to the mailbox of |250| Peter Wagner. |450| To leave a message, wait for the tone.",
    "We can't answer the phone just now. |600| Speak after the beep.",
    "Good day. |800| You have reached Fisher and Sons. All our lines are busy. Please leave your name and a short message.",
    "This is the answering machine of Julia and Steve. |400| We are out. Talk to the machine.",
    "The number you have dialled is not available. |500| Please try again later or leave a message.",
    "Hello. |1000| Hello, I'm not here, this is only my answering machine, so please leave a message.",
    "I'm either on the other line or away from my desk. |350| Leave your name, your number and the reason you called.",
    "The subscriber is unable to answer your call. |300| After the tone, please leave your message.",
];

const HELD_MACHINE: [&str; 16] = [
    "Hello, you have reached the Robinsons. |450| Nobody is home. Please leave a message after the beep and have a nice day.",
    "Hi, this is Anna Berger's phone. |650| I'm not available to take your call, so leave your name and I'll get back to you.",
    "You have reached the voice mail box of |300| David Weber. |400| Please record your message after the tone.",
    "Your call has been forwarded to voice mail. |350| The person you're trying to reach is not available. At the tone, please record your message.",
    "Yo, Jenny here. |350| Make it short.",
    "You've reached Redwood Travel. |500| We are open from nine to five. Please leave your message and we will call you back tomorrow.",
    "Sorry, the customer you are calling can't come to the phone. |300| Leave a message after the tone.",
    "Hey there, sorry I can't take your call. |850| Leave me a message and I will call you back.",
    "This mailbox belongs to |250| Sandra Stone. |400| Please leave a message after the tone.",
    "Nobody can take your call at this time. |600| Please talk after the tone.",
    "Good morning. |750| This is the voice mail of Stone Brothers Roofing. We are on a roof. Leave your name and number.",
    "It's Mark and Susan's machine. |400| We'd love to hear from you, so say something nice.",
    "The mobile telephone you have called may be switched off. |500| Please leave a message or try later.",
    "Hello? |900| Just kidding, I'm not in. Leave a message at the tone.",
    "I am travelling until the twelfth and not available. |350| In urgent cases call my office, or leave a message here.",
    "The party you called did not answer. |300| To leave a message, start speaking at the tone.",
];

const TUNING_SCREENING: [&str; 6] = [
    "Hi. |300| If you record your name and reason for calling, I'll see if this person is available.",
    "Hello, you're talking to a call assistant. |300| Please say your name and why you are calling.",
    "Before I try to connect you, record your name and the reason for calling. |400| Please stay on the line.",
    "The person you are calling uses a screening service. |300| Go ahead and say your name and what this is about.",
    "This line is screened. |400| Who is calling, please? Say your name after the tone.",
    "Hi, the assistant is listening. |300| May I ask who is calling and why you're calling?",
];

const HELD_SCREENING: [&str; 6] = [
    "Hello. |300| Record your name and your reason for calling and I will check if this person is available.",
    "Hi, this is an automatic assistant. |300| Can you tell me who is calling and why you are calling?",
    "Please state your name and reason for calling. |400| Stay on the line while I find out if somebody can talk.",
    "A screening assistant answers for this number. |300| Say your name, and why you're calling, and please wait.",
    "Callers are asked for their name. |400| Please record your name now.",
    "Hello, I'm asking for the owner of this phone. |300| Who is calling, and is it urgent?",
];

const TUNING_MENU: [&str; 7] = [
    "Welcome to Northwind Bank. |300| For account balances, press one. |250| For cards, press two.",
    "Thank you for calling Oak Street Pharmacy. |400| To refill a prescription, press one. |250| To talk to somebody, press zero.",
    "Please listen carefully, as our menu has changed. |300| For sales press one. |250| For support press two.",
    "If you know your party's extension, dial it now. |400| For the operator, press zero.",
    "This call may be recorded. |300| Please select one of the following options. |250| Billing, press one.",
    "Hello, this is the power company. |300| To report an outage, say or press one.",
    "You are in the main menu. |300| For opening hours, press star.",
];

const HELD_MENU: [&str; 7] = [
    "Thank you for calling Maple Insurance. |300| If you have a new claim, press one. |250| For all other questions, press two.",
    "Welcome to the city of Springfield. |400| For parking tickets press one. |250| For permits press two.",
    "Your call may be recorded. |300| Please choose from the following options. |250| For repairs, press one.",
    "Hi, and thanks for calling Parker Electric. |300| If you know your party's extension, you may dial it now.",
    "Listen carefully to these choices. |300| To make an appointment, press one. |250| To cancel one, press two.",
    "Good day. |300| For a taxi now, say or press one. |250| For later, say or press two.",
    "Main menu. |300| To hear your balance, press one. |250| To go back, press star.",
];

const TUNING_NETWORK: [&str; 1] = ["The number you have dialled is not in service."];
const HELD_NETWORK: [&str; 1] = ["All circuits are busy now. Please try your call again later."];

/// What babbles in the background.
pub fn babble(part: Part) -> &'static [&'static str; 3] {
    match part {
        Part::Tuning => &[
            "So then we drove all the way up to the lake, and there was no room left, would you believe it.",
            "Two coffees and a slice of the apple cake, please, and could you heat that up for my daughter.",
            "The train at platform four is about ten minutes late because of works on the coast.",
        ],
        Part::HeldBack => &[
            "He said that the roof would hold another winter, but I have my doubts about that, I really do.",
            "If you take the blue ones they are cheaper by the dozen, and we have them in a larger size too.",
            "It rained through the whole second half and nobody scored, so we went home before the end.",
        ],
    }
}
