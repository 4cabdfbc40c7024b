//! The example servers as their users run them: child processes behind real sockets.

mod events_api;
mod gateway;
mod quickstart;
