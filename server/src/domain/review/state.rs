//! The review of an interview as a state machine: which transition leads where, and who may make it.
//!
//! Two kinds of state: *draft*, *submitted* and *void* follow from the record alone and are typed in by nobody; *in review*,
//! *returned*, *corrected* and *approved* begin with a coordinator's decision. [`step`] is the only place that knows the way.

use std::fmt;
use sync_protocol::Hash;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$of])* #[serde(rename = $word)] $variant,)* }

        impl $name {
            /// All of them, in the order of their way.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its word in the store, in the API and in exports.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// Reads its word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.as_str() == word)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// Where an interview stands.
    State {
        /// Begun, not finished.
        Draft = "draft",
        /// Finished by the enumerator; nobody has decided about it.
        Submitted = "submitted",
        /// A coordinator has it, or it was changed after its approval.
        InReview = "in-review",
        /// Sent back with remarks that are not all answered.
        Returned = "returned",
        /// Every remark of the return is answered from the field.
        Corrected = "corrected",
        /// Right, as its answers stand.
        Approved = "approved",
        /// It counts no more.
        Void = "void",
    }
}

words! {
    /// What leads from one state to another.
    Transition {
        /// A coordinator takes it into review.
        Take = "take",
        /// A coordinator sends it back with remarks.
        Return = "return",
        /// A coordinator finds the answers right, as they stand.
        Approve = "approve",
        /// A coordinator takes a return or an approval back.
        Withdraw = "withdraw",
        /// A coordinator says that it counts no more.
        Void = "void",
        /// The field has answered every remark of the return.
        Answer = "answer",
        /// The server noticed other answers than those that were approved.
        Reopen = "reopen",
        /// The server was restored and got back the remark of a return that it had forgotten.
        Recall = "recall",
        /// The field says of what was decided about that it counts no more.
        Discard = "discard",
        /// The server noticed an edit that keeps what was void.
        Revive = "revive",
    }
}

/// Who makes a transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Whoever reviews.
    Coordinator,
    /// Enumerators, by changes alone.
    Field,
    /// The server itself, from what arrived.
    Server,
}

impl Transition {
    /// Who may make it.
    #[must_use]
    pub fn role(self) -> Role {
        match self {
            Self::Take | Self::Return | Self::Approve | Self::Withdraw | Self::Void => Role::Coordinator,
            Self::Answer | Self::Discard => Role::Field,
            Self::Reopen | Self::Recall | Self::Revive => Role::Server,
        }
    }

    /// Where it leads from a state; none where it can't be made there.
    #[must_use]
    pub fn leads(self, from: State) -> Option<State> {
        use State::{Approved, Corrected, Draft, InReview, Returned, Submitted, Void};
        match (self, from) {
            (Self::Take, Submitted | Corrected) => Some(InReview),
            (Self::Return, Submitted | InReview | Returned | Corrected | Approved) => Some(Returned),
            (Self::Approve, Submitted | InReview | Returned | Corrected) => Some(Approved),
            (Self::Withdraw, Returned | Approved) => Some(InReview),
            (Self::Void | Self::Discard, Draft | Submitted | InReview | Returned | Corrected | Approved) => Some(Void),
            (Self::Answer, Returned) => Some(Corrected),
            (Self::Reopen, Approved) => Some(InReview),
            (Self::Revive, Void) => Some(InReview),
            (Self::Recall, Draft | Submitted | InReview | Returned | Corrected | Approved) => Some(Returned),
            (
                Self::Take
                | Self::Return
                | Self::Approve
                | Self::Withdraw
                | Self::Void
                | Self::Answer
                | Self::Reopen
                | Self::Recall
                | Self::Discard
                | Self::Revive,
                Draft | Submitted | InReview | Returned | Corrected | Approved | Void,
            ) => None,
        }
    }
}

/// What a coordinator had before their eyes when deciding: written `EVENT.HASH`, to be given back as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The number of the interview's last transition; 0 before the first.
    pub event: i64,
    /// The hash of its answers.
    pub view: Hash,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.event, self.view)
    }
}

impl Seen {
    /// Reads what [`fmt::Display`] wrote.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (event, view) = text.split_once('.')?;
        Some(Self { event: event.parse().ok()?, view: view.parse().ok()? })
    }
}

/// Why a transition is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is for another role.
    NotYours,
    /// Somebody decided meanwhile.
    Decided,
    /// An answer changed meanwhile.
    Changed,
    /// It can't be made in this state.
    NotFrom(State),
}

/// Decides a transition: the state that it leads to, or why not.
///
/// What was decided on other answers, or beside somebody else's decision, is refused before anything else is looked at: whoever
/// decides has not seen what they decide about.
///
/// # Errors
/// Why not.
pub fn step(from: State, transition: Transition, role: Role, seen: Seen, now: Seen) -> Result<State, Refusal> {
    if transition.role() != role {
        return Err(Refusal::NotYours);
    }
    if seen.event != now.event {
        return Err(Refusal::Decided);
    }
    if seen.view != now.view {
        return Err(Refusal::Changed);
    }
    transition.leads(from).ok_or(Refusal::NotFrom(from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use State::{Approved, Corrected, Draft, InReview, Returned, Submitted, Void};

    const NOW: Seen = Seen { event: 3, view: Hash([1; 32]) };

    /// The whole machine, as `docs/decisions/0017-a-correction-comes-home.md` has it: rows are [`Transition::ALL`].
    const TABLE: [[Option<State>; 7]; 10] = [
        // draft, submitted, in review, returned, corrected, approved, void
        [None, Some(InReview), None, None, Some(InReview), None, None],
        [None, Some(Returned), Some(Returned), Some(Returned), Some(Returned), Some(Returned), None],
        [None, Some(Approved), Some(Approved), Some(Approved), Some(Approved), None, None],
        [None, None, None, Some(InReview), None, Some(InReview), None],
        [Some(Void), Some(Void), Some(Void), Some(Void), Some(Void), Some(Void), None],
        [None, None, None, Some(Corrected), None, None, None],
        [None, None, None, None, None, Some(InReview), None],
        [Some(Returned), Some(Returned), Some(Returned), Some(Returned), Some(Returned), Some(Returned), None],
        [Some(Void), Some(Void), Some(Void), Some(Void), Some(Void), Some(Void), None],
        [None, None, None, None, None, None, Some(InReview)],
    ];

    #[test]
    fn every_transition_leads_where_the_table_says_and_nowhere_else() {
        assert_eq!(State::ALL, [Draft, Submitted, InReview, Returned, Corrected, Approved, Void]);
        for (transition, row) in Transition::ALL.iter().zip(TABLE) {
            for (state, expected) in State::ALL.iter().zip(row) {
                let led = step(*state, *transition, transition.role(), NOW, NOW);
                assert_eq!(led, expected.ok_or(Refusal::NotFrom(*state)), "{transition} from {state}");
            }
        }
    }

    #[test]
    fn nobody_makes_a_transition_of_another_role_in_any_state() {
        for transition in Transition::ALL {
            for role in [Role::Coordinator, Role::Field, Role::Server] {
                for state in State::ALL {
                    let led = step(*state, *transition, role, NOW, NOW);
                    assert_eq!(led == Err(Refusal::NotYours), transition.role() != role, "{transition} by {role:?}");
                }
            }
        }
    }

    #[test]
    fn what_was_decided_on_something_else_is_refused_in_every_state() {
        let decided = Seen { event: 2, ..NOW };
        let changed = Seen { view: Hash([2; 32]), ..NOW };
        for transition in Transition::ALL {
            for state in State::ALL {
                assert_eq!(step(*state, *transition, transition.role(), decided, NOW), Err(Refusal::Decided));
                assert_eq!(step(*state, *transition, transition.role(), changed, NOW), Err(Refusal::Changed));
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn no_sequence_leaves_the_named_states_and_no_person_undoes_a_void(steps in proptest::collection::vec((0..10_usize, 0..3_usize), 0..40)) {
            let roles = [Role::Coordinator, Role::Field, Role::Server];
            let mut state = Submitted;
            for (transition, role) in steps {
                let before = state;
                if let Ok(next) = step(state, Transition::ALL[transition], roles[role], NOW, NOW) {
                    state = next;
                }
                proptest::prop_assert!(State::from_word(state.as_str()) == Some(state));
                proptest::prop_assert!(before != Void || state == Void || roles[role] == Role::Server);
                // What was submitted never becomes a draft again, and nobody but a coordinator approves.
                proptest::prop_assert!(state != Draft);
                proptest::prop_assert!(state != Approved || before == Approved || roles[role] == Role::Coordinator);
            }
        }
    }

    #[test]
    fn what_was_seen_is_read_back_as_it_was_written() {
        assert_eq!(Seen::read(&NOW.to_string()), Some(NOW));
        for wrong in ["", "3", "x.00", "3.00", ".", &format!("{NOW}0")] {
            assert_eq!(Seen::read(wrong), None, "{wrong}");
        }
    }
}
