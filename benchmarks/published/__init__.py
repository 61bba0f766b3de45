"""Published results of others, run again on their own data, which a checkout brings and we do not keep."""
