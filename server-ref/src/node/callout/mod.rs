//! Call-outs: what an app's backend decides, as the node sees it.
//!
//! The node asks with [`Output::Ask`](super::Output::Ask) and is answered with
//! [`Node::handle_answer`](super::Node::handle_answer), in any order, more than once or never: what is not answered in
//! time counts as failed, and whoever is gone is not answered.

mod rules;

pub use self::rules::{CalloutId, CalloutKind};
