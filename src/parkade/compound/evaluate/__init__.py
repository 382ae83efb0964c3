"""Measure, plan and forecast: does verification help, and what does a K cost?"""
