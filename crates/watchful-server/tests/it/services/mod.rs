//! The Lock and Election *services*, called over gRPC as clients do that leave the work to the server.

mod lock;

mod election;
