//! Rate limits: the arithmetic of both halves, the layer over embedded memory and over Redis.

mod arithmetic;
mod halves;
