//! Numbered seats, tickets and orders of several rows, through the service and over HTTP; locks in a real Redis.
