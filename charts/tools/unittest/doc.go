// Package unittestwrap pins helm-unittest for the charts' tests; nothing imports it.
package unittestwrap
