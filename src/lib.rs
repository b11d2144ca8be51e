//! A virtual waiting room and admission-control gateway.
